use abide::prelude::*;

#[workflow]
async fn ship(parcel: u32) -> u32 {
    parcel
}

async fn start(client: Client) -> Result<(), Error> {
    client.start(ship(1).id("ship-7")).await?;
    Ok(())
}

fn main() {}

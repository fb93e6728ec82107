use abide::prelude::*;

#[derive(Default)]
struct Ship {
    held: bool,
}

#[workflow]
impl Ship {
    #[run]
    async fn run(&mut self, parcel: u32) -> u32 {
        parcel
    }

    #[signal]
    fn hold(&mut self, yes: bool) {
        self.held = yes;
    }

    #[query]
    fn held(&self) -> bool {
        self.held
    }
}

#[workflow]
async fn trip() -> Result<bool, Failure> {
    let ship = Ship::run(1).start().await?;
    ship.hold("yes").await?;
    Ok(ship.held().await?)
}

fn main() {}

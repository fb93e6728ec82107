use abide::prelude::*;

macro_rules! daily {
    ($day:expr) => {
        #[workflow]
        async fn report(day: u32) -> u32 {
            day + $day
        }
    };
}
daily!(1);

#[workflow]
async fn week(day: u32) -> u32 {
    report(day).await
}

async fn outside() -> u32 {
    report(1).await
}

fn main() {}

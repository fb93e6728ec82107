use abide::prelude::*;

macro_rules! tell {
    ($($told:tt)*) => {
        tracing::info!($($told)*)
    };
}

macro_rules! bump {
    ($n:ident) => {{
        $n += 1;
        $n
    }};
}

// Only the name is told of; the value is made in any case.
macro_rules! timed {
    ($name:literal, $value:expr) => {{
        tell!("{} begins", $name);
        let value = $value;
        tracing::info!("{value}");
        value
    }};
}

#[activity]
async fn stock(id: u32) -> u32 {
    id
}

#[workflow]
async fn order(id: u32) -> u32 {
    let (mut told, mut said) = (0, 0);
    let mut next = || {
        said += id;
        said
    };
    tell!(key = %workflow::uuid(), "begins");
    tell!("{} {}", id, next());
    tracing::info!("{}", bump!(told));
    timed!("order", {
        told += 1;
        told
    })
}

fn main() {}

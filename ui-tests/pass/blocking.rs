//! Activities that block: a plain `fn`, and plain methods that say so.
#![deny(warnings)]

use abide::prelude::*;

/// Computes.
#[activity(start_to_close = "30s", retry(max_attempts = 2))]
pub fn digest(text: String) -> Result<u64, Failure> {
    std::thread::sleep(std::time::Duration::from_millis(1));
    Ok(text.len() as u64)
}

#[activity]
fn nothing() {}

pub struct Images {
    width: u32,
}

#[activity(start_to_close = "1m")]
impl Images {
    /// Not an activity.
    fn area(&self, height: u32) -> u32 {
        self.width * height
    }

    #[activity(name = "scale", start_to_close = "5s")]
    pub fn scale(&self, by: u32) -> u32 {
        self.area(by)
    }

    #[activity]
    fn rotate(&self) -> Result<(), Failure> {
        activity::context().time_left().map(|_| ()).ok_or_else(|| Failure::new("no limit"))
    }

    pub async fn store(&self) -> u32 {
        self.scale(2)
    }
}

#[workflow]
async fn publish(text: String) -> Result<u64, Failure> {
    nothing().await?;
    Images::rotate().await?;
    Ok(digest(text).await? + u64::from(Images::scale(2).await? + Images::store().await?))
}

fn main() {
    assert_eq!(digest::body("abc".to_owned()).unwrap(), 3);
    assert_eq!(Images { width: 2 }.scale(3), 6);
    let _ = (publish, Images { width: 1 }.rotate());
}

use abide::prelude::*;

#[workflow]
async fn order(ids: Vec<u32>) -> u32 {
    let mut said = 0;
    let mut next = || {
        said += 1;
        said
    };
    debug_assert!(loop { break next() > 0 });
    debug_assert!(ids.iter().all(|id| return next() > *id));
    'ids: for id in &ids {
        debug_assert!(loop {
            if *id > 1 {
                continue 'ids;
            }
            break true;
        });
    }
    said
}

fn main() {}

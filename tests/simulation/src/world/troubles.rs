//! Kills, pauses, shutdowns of processes and jumps of the database's clock, and their times.

use crate::dice::Dice;
use std::time::Duration;

/// How many troubles there are, apart from the weather.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Troubles {
    kills: u64,
    pauses: u64,
    shutdowns: u64,
    clock_jumps: u64,
    /// When the last one is over.
    pub(super) end: Duration,
}

impl Troubles {
    pub(super) fn draw(dice: &mut Dice, calm: bool) -> Self {
        if calm {
            return Self::default();
        }
        let mut some = |percent, most| if dice.chance(percent) { dice.between(1, most) } else { 0 };
        let (kills, pauses, shutdowns, clock_jumps) = (some(60, 4), some(40, 3), some(40, 3), some(15, 2));
        Self { kills, pauses, shutdowns, clock_jumps, end: Duration::from_millis(dice.ms(500, 40_000)) }
    }

    /// The times of all troubles, the last one first.
    pub(super) fn plan(self, dice: &mut Dice) -> Vec<(Duration, Trouble)> {
        let end_ms = u64::try_from(self.end.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut all = Vec::new();
        let mut add = |count: u64, dice: &mut Dice, what: &dyn Fn(&mut Dice) -> Trouble| {
            for _ in 0..count {
                let at = Duration::from_millis(dice.ms(1, end_ms));
                all.push((at, what(dice)));
            }
        };
        add(self.kills, dice, &|_| Trouble::Kill);
        add(self.pauses, dice, &|dice| Trouble::Pause(Duration::from_millis(dice.ms(100, 25_000))));
        add(self.shutdowns, dice, &|_| Trouble::Shutdown);
        add(self.clock_jumps, dice, &|dice| {
            let by_ms = i64::try_from(dice.ms(100, 3_600_000)).unwrap_or(0);
            Trouble::Clock(if dice.chance(50) { by_ms } else { -by_ms.min(5_000) })
        });
        all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        all
    }
}

/// One trouble.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    Kill,
    /// The process is stopped for this time.
    Pause(Duration),
    Shutdown,
    /// The database's clock jumps by this many ms.
    Clock(i64),
}

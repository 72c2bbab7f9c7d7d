//! How fast the machine is just now, by calls that nothing is done for: what two reports are compared by.

use std::num::NonZeroU32;

use super::{Floor, refresh};
use crate::load::Load;
use crate::report::Run;

/// The same in every report, whatever else is measured. It is a floor: measured for half of that.
const LOAD: Load = Load {
    concurrency: NonZeroU32::new(64).expect("not zero"),
    connections: NonZeroU32::new(8).expect("not zero"),
    seconds: NonZeroU32::new(2).expect("not zero"),
    warm_up: 1,
};

pub async fn measure() -> anyhow::Result<Run> {
    let floor = Floor::serve(LOAD)?;
    let callers = refresh::signed_in(&floor.connect().await?, LOAD).await?;
    floor.measure("floor: calls with nothing behind them", callers).await
}

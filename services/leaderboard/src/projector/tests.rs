mod definitions;
mod faults;
mod submissions;
mod world;

use self::world::{World, board, player, value};
use crate::board::Refusal;
use crate::submission::{Actor, State, SubmitError};

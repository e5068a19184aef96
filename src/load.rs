//! What do users ask for, and what do they get?
//!
//! A [`trace`] says who asks for what and when: somebody's file, or one that [`generate`] makes up. [`replay`] sends
//! it to a server ([`client`]) or to anything else that answers, each request at its own time whatever became of the
//! others, and every request becomes a [`record`], of which the [`report`] is made: the same one for a server and for
//! a simulation of it.

pub mod client;
pub mod generate;
pub mod pace;
pub mod record;
pub mod records;
pub mod replay;
pub mod report;
pub mod scale;
pub mod trace;

//! Python packages of skills, by the program: prepared before a skill runs, with wheels that are made here, so
//! that nothing is fetched from anywhere.

mod running;
mod serving;
mod wheels;

//! Several servers behind one door, and servers that move: who is left out, who is taken back, and
//! who gets what.

mod balance;
mod connections;
mod health;
mod moved;
mod names;
mod reload;
mod shared_storage;

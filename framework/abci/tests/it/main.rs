//! The engine, the socket server and their crashes, over real auth and bank.

mod blocks;
mod crash;
mod mempool;
mod proposals;
mod queries;
mod socket;
mod support;

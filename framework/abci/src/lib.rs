//! gantry-abci

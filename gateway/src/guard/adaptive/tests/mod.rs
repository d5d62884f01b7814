mod simulation;
mod simulator;

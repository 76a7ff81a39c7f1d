//! Plans against a model of an engine: scenarios with their texts, and properties from any state.

mod engine;
mod model;

mod scenarios;

mod killed;

mod second_opinion;

mod properties;

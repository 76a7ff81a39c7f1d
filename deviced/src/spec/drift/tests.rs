use serde_json::{Value, json};

use super::super::Spec;
use super::*;

fn spec(value: Value) -> Spec {
    serde_json::from_value(value).unwrap()
}

fn fields(drift: &[Drift]) -> Vec<&str> {
    drift.iter().map(|drift| drift.field.as_str()).collect()
}

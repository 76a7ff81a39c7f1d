//! The whole device: its status, images, registries.

use axum::response::Response;

use super::JSON;
use super::call::Call;
use super::route::{Answer, Route, json};
use crate::report::{ImagesReport, RegistriesReport, Report};

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/status", "getStatus", "The device: engine, document, containers, registries", |call| {
        Box::pin(async move { Ok(status(&call)) })
    })
    .gives(&[Answer::ok("What is known now", &[json::<Report>(JSON)])]),
    Route::get("/v1/images", "listImages", "Images, and why they are kept", |call| {
        Box::pin(async move { Ok(images(&call)) })
    })
    .gives(&[Answer::ok("Images of the engine that are ours", &[json::<ImagesReport>(JSON)])]),
    Route::get("/v1/registries", "listRegistries", "Registries, the closest first", |call| {
        Box::pin(async move { Ok(registries(&call)) })
    })
    .gives(&[Answer::ok("Registries", &[json::<RegistriesReport>(JSON)])]),
];

fn status(call: &Call) -> Response {
    super::json(&*call.api.handle.report())
}

fn images(call: &Call) -> Response {
    super::json(&ImagesReport { images: call.api.handle.report().images.clone() })
}

fn registries(call: &Call) -> Response {
    super::json(&RegistriesReport { registries: call.api.handle.report().registries.clone() })
}

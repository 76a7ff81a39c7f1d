//! All routes.

use super::route::Route;
use super::{actions, containers, device, document, events, logs, open, operations, overrides};

/// All of them, in the order of the OpenAPI document.
pub(super) fn routes() -> impl Iterator<Item = &'static Route> {
    [
        device::ROUTES,
        document::ROUTES,
        containers::ROUTES,
        logs::ROUTES,
        actions::ROUTES,
        overrides::ROUTES,
        operations::ROUTES,
        events::ROUTES,
        open::ROUTES,
    ]
    .into_iter()
    .flatten()
}

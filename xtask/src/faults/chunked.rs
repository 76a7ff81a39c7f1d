//! Stories of layers with a table of contents, of which a part is fetched.

use std::path::Path;

use fixtures::registry::Fault as Answer;

use super::content::{CHUNKED_LYING, CHUNKED_NEW, CHUNKED_OLD, Content};
use super::observe;
use super::story::{Story, blobs, promote, right};
use super::world::World;
use crate::failure::{Failure, Result};

/// What happens to updates of such a layer.
pub(super) const CHUNKED: &[Story] = &[
    Story {
        name: "chunked",
        what: "An update of a layer with a table of contents: a part of it is fetched.",
        expected: right(12),
        tenths: 3,
        content: || &CHUNKED_NEW,
        set: |world, binary| update_from(world, binary, &CHUNKED_NEW),
    },
    Story {
        name: "chunked-lie",
        what: "The table of contents says that the file that changed did not: the layer comes whole.",
        expected: right(14),
        tenths: 15,
        content: || &CHUNKED_LYING,
        set: |world, binary| update_from(world, binary, &CHUNKED_LYING),
    },
    Story {
        name: "chunked-no-ranges",
        what: "The request for the table is answered with 200 and all of the layer: it comes whole, and what was on its way is lost.",
        expected: right(14),
        tenths: 21,
        content: || &CHUNKED_NEW,
        set: |world, binary| {
            update_from(world, binary, &CHUNKED_NEW)?;
            world.registry.fault(blobs(), Answer::IgnoreRange);
            Ok(())
        },
    },
    Story {
        name: "chunked-breaks-off",
        what: "Connections break off in the table and in the parts: they are made again.",
        expected: right(20),
        tenths: 12,
        content: || &CHUNKED_NEW,
        set: |world, binary| {
            update_from(world, binary, &CHUNKED_NEW)?;
            let digest = CHUNKED_NEW.layer();
            world.registry.fault(blobs().path(digest).times(2), Answer::Truncate { after: 500 });
            Ok(())
        },
    },
];

/// Installs the old version of the layer with a table of contents, and points the tag to another.
fn update_from(world: &World, binary: &Path, to: &Content) -> Result {
    world.registry.put("app", "v", &CHUNKED_OLD.index);
    let seen = observe::pull(binary, world, &CHUNKED_OLD)?;
    if !seen.is_complete {
        return Err(Failure::new(format!("the old version: {seen:?}")));
    }
    promote(world)?;
    world.registry.put("app", "v", &to.index);
    Ok(())
}

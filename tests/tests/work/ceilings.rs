//! The ceilings, each with its reason. Lower one when the work becomes less; raise one only with a reason that is worth it.

/// What is counted, the most that it may be, and why it is no less.
const CEILINGS: &[(&str, f64, &str)] = &[
    (
        "system calls for each file of a cold pull",
        7.0,
        "open, write, times, a look at inode and change time, close; in a debug build Rust also looks at each descriptor before \
         it closes it",
    ),
    (
        "looks at sockets for each piece of a slow blob",
        5.0,
        "the piece, the waiting for it, and what setting up connections takes",
    ),
    ("requests of a pull that finds nothing new", 1.0, "one HEAD for the tag"),
    (
        "requests of an update whose top layer changed",
        4.0,
        "one HEAD for the tag, the manifest, the config, the layer",
    ),
    ("bytes fetched by that update, for each byte of the new layer", 1.2, "the layer, a manifest, a config"),
    (
        "bytes written by an update of 1 % of a layer, for each byte that changed",
        2.0,
        "without the blob: what changed, and what is known of every file (seal, stamps, index of the layer)",
    ),
    (
        "system calls of an update for each file that stays as it is",
        1.5,
        "a look whether it still is as it was sealed: nobody has to be believed that it is",
    ),
    ("bytes fetched again after a kill", 8_388_608.0, "one range of 8 MiB of the blob that was open"),
    (
        "instructions for each entry of an archive, debug build",
        150_000.0,
        "header, path, attributes, seal; no optimiser has seen any of it",
    ),
    (
        "allocations for each entry of an archive",
        2.0,
        "its path, its place in the seal, what the parser takes for a header",
    ),
    (
        "instructions for each byte of an archive, debug build",
        130.0,
        "inflate, SHA-256 of the blob and of the archive in software, BLAKE3 of the contents",
    ),
];

/// Holds a figure against its ceiling.
///
/// # Panics
/// When it is higher, or when nobody gave it a ceiling.
pub(crate) fn hold(what: &str, measured: f64) {
    let (_, ceiling, reason) =
        CEILINGS.iter().find(|(name, ..)| *name == what).expect("a figure with a ceiling");
    println!("{what}: {measured:.2}, at most {ceiling}");
    assert!(measured <= *ceiling, "{what}: {measured:.2}, but {ceiling} is enough: {reason}");
    assert!(measured >= 0.0, "{what}: {measured:.2} can't be: the measurement is wrong");
}

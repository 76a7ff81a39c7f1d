/// Extracts two layers, and looks at everything around them.
fn extract(bytes: &[u8]) {
    let Some((&cut, rest)) = bytes.split_first() else { return };
    let mut rest = rest.to_vec();
    seal_headers(&mut rest);
    let (lower, upper) = rest.split_at((usize::from(cut) * 512).min(rest.len()));

    let place =
        tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    let (root, canary) = (place.path().join("root"), place.path().join("canary"));
    std::fs::create_dir(&root).unwrap();
    std::fs::write(&canary, "alive").unwrap();
    let before = std::fs::metadata(&canary).unwrap();

    let mut limits = Limits::default();
    limits.tree_bytes.max = 1 << 20;
    limits.layer_entries.max = 500;
    let mut extraction = Extraction::new(&root, limits, |_| ()).unwrap();
    let made = [lower, upper].iter().try_for_each(|layer| {
        let index = extraction.apply(*layer, None)?;
        LayerIndex::parse(index.as_bytes().to_vec()).expect("an index that was just made");
        Ok::<_, dockerloader::tree::Error>(())
    });
    if made.is_ok() {
        // Unlike an archive, the disk may refuse: names that its file system does not take, for example.
        if let Ok(extracted) = extraction.finish() {
            let seal = Seal::parse(extracted.seal.as_bytes().to_vec()).expect("a seal that was just made");
            assert_eq!(verify(&root, &seal, Depth::Full), [], "the tree is not what its seal says");
        }
    }
    let after = std::fs::metadata(&canary).unwrap();
    assert_eq!(std::fs::read(&canary).unwrap(), b"alive");
    assert_eq!(format!("{before:?}").replace("accessed", ""), format!("{after:?}").replace("accessed", ""));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "something was made beside the root");
    // Folders that forbid it too.
    unlock(&root);
}

/// Makes the tree removable for whoever is not root.
fn unlock(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}

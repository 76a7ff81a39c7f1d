//! Images that are refused.

use super::*;

#[test]
fn an_image_that_cannot_be_started_is_not_staged() {
    for (image, words) in [
        (Image::new().layer(Layer::new().file("etc/x", 0o644, b"")), &["/entrypoint"][..]),
        (
            Image::new().layer(Layer::new().file("entrypoint", 0o644, SCRIPT)),
            &["/entrypoint", "not executable"],
        ),
        (Image::new().layer(Layer::new().dir("entrypoint", 0o755)), &["/entrypoint", "a directory"]),
        (Image::with_entrypoint(b"#!/no/such/python\n"), &["/no/such/python"]),
        (Image::new().layer(Layer::new().dir("bin", 0o755)).entrypoint(&["/bin/app"]), &["/bin/app"]),
        (Image::new(), &["Entrypoint"]),
    ] {
        let scene = Scene::with(&image.build());
        let error = scene.pull().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Refuse, "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        assert_eq!(scene.slot(Slot::Attempt), None);
        assert_eq!(scene.ground.list("extracted"), [""; 0]);
    }
}

#[test]
fn a_layer_that_is_refused_leaves_nothing_behind() {
    let hostile = Layer::new().file("entrypoint", 0o755, SCRIPT).literal(
        b"../../../escape",
        fixtures::image::EntryType::Regular,
        b"",
        b"x",
    );
    let scene = Scene::with(&Image::new().layer(hostile).build());
    let error = scene.pull().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Refuse, "{error}");
    assert_eq!(scene.ground.list("extracted"), [""; 0]);
    let wrong = Layer::new().file("entrypoint", 0o755, SCRIPT).diff_id(&fixtures::sha256(b"another"));
    let scene = Scene::with(&Image::new().layer(wrong).build());
    let error = scene.pull().unwrap_err();
    assert!(error.to_string().contains(&fixtures::sha256(b"another")), "{error}");
    assert_eq!(scene.ground.list("extracted"), [""; 0]);
}

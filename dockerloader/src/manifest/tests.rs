use super::*;
use crate::remedy::Remedy;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn descriptor_json(media_type: &str, byte: u8, size: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":{size}}}"#, digest(byte))
}

fn image_json(media_type: &str, config: &str, layer: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{},"layers":[{}]}}"#,
        descriptor_json(config, 1, "2"),
        descriptor_json(layer, 2, "3"),
    )
}

fn read(text: &str, content_type: Option<&str>) -> Result<Document, Error> {
    parse(text.as_bytes(), content_type, &Limits::default())
}

#[test]
fn oci_and_docker_images_are_read() {
    for (manifest, config, layer, compression) in [
        (media_type::OCI_MANIFEST, CONFIG, "application/vnd.oci.image.layer.v1.tar+zstd", Compression::Zstd),
        (
            media_type::DOCKER_MANIFEST,
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Compression::Gzip,
        ),
    ] {
        let Document::Image(image) = read(&image_json(manifest, config, layer), Some(manifest)).unwrap()
        else {
            panic!("an image is expected");
        };
        assert_eq!((image.config.digest, image.config.size), (digest(1), 2));
        let [layer] = image.layers.as_slice() else { panic!("one layer is expected") };
        assert_eq!((layer.descriptor.digest, layer.descriptor.size), (digest(2), 3));
        assert_eq!((layer.compression, layer.foreign), (compression, false));
    }
}

#[test]
fn indexes_are_read_with_their_platforms() {
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{}","size":5,
            "platform":{{"os":"linux","architecture":"arm","variant":"7"}},"annotations":{{"a":"b"}}}}]}}"#,
        media_type::OCI_MANIFEST,
        digest(3)
    );
    for content_type in
        [None, Some("application/json"), Some("application/vnd.oci.image.index.v1+json; charset=utf-8")]
    {
        let Document::Index(index) = read(&text, content_type).unwrap() else {
            panic!("an index is expected")
        };
        let entry = &index.manifests[0];
        assert_eq!(entry.platform, Some("linux/arm/v7".parse().unwrap()));
        assert_eq!(entry.annotations["a"], "b");
    }
}

#[test]
fn foreign_layers_keep_only_web_addresses() {
    let text = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{{"mediaType":
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{}","size":1,
            "urls":["https://a.example/x","file:///etc/passwd","http://b.example/x","ftp://c"]}}]}}"#,
        descriptor_json(CONFIG, 1, "2"),
        digest(2)
    );
    let Document::Image(image) = read(&text, None).unwrap() else { panic!("an image is expected") };
    assert!(image.layers[0].foreign);
    assert_eq!(image.layers[0].descriptor.urls, ["https://a.example/x", "http://b.example/x"]);
}

#[test]
fn what_is_no_image_or_could_be_read_in_two_ways_is_refused() {
    let layer = "application/vnd.oci.image.layer.v1.tar";
    let good = image_json(media_type::OCI_MANIFEST, CONFIG, layer);
    let both = good.replacen("{", r#"{"manifests":[],"#, 1);
    let list = r#"{"schemaVersion":2,"manifests":[]}"#;
    let entries = vec![descriptor_json(media_type::OCI_MANIFEST, 1, "1"); 1001].join(",");
    let deep =
        format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    for (text, content_type, hint) in [
        (String::new(), None, "EOF"),
        ("{}".into(), None, "schemaVersion"),
        ("[]".into(), None, "malformed"),
        (format!("{good} x"), None, "trailing"),
        (r#"{"schemaVersion":2}"#.into(), None, "neither"),
        (r#"{"schemaVersion":3,"manifests":[]}"#.into(), None, "schemaVersion is 3"),
        (r#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#.into(), None, "schema 1"),
        (list.into(), Some("application/vnd.docker.distribution.manifest.v1+prettyjws"), "schema 1"),
        (both.clone(), None, "two ways"),
        (good.clone(), Some(media_type::OCI_INDEX), "registry says"),
        (good.clone(), Some("text/html"), "registry says text/html"),
        (list.into(), Some("text/html"), "media type text/html"),
        (list.into(), Some(media_type::OCI_MANIFEST), "fields are not those"),
        (good.replace(media_type::OCI_MANIFEST, media_type::DOCKER_LIST), None, "fields are not those"),
        (good.replace(media_type::OCI_MANIFEST, "application/x"), None, "media type application/x"),
        (
            image_json(media_type::OCI_MANIFEST, "application/vnd.cncf.helm.config.v1+json", layer),
            None,
            "artifact",
        ),
        (image_json(media_type::OCI_MANIFEST, CONFIG, "application/vnd.in-toto+json"), None, "layer 0"),
        (good.replace("\"size\":3", "\"size\":-3"), None, "malformed"),
        (good.replace("\"size\":3", "\"size\":99999999999999999999"), None, "malformed"),
        (good.replace("\"size\":3", "\"size\":3.5"), None, "malformed"),
        (good.replace("\"size\":3", "\"size\":68719476737"), None, "layer-bytes"),
        (good.replace("\"size\":2", "\"size\":8388609"), None, "config-bytes"),
        (good.replace(&digest(2).to_string(), "sha256:../../x"), None, "layer 0: digest"),
        (good.replacen("{", r#"{"layers":[],"#, 1), None, "twice"),
        (good.replacen("{", r#"{"Layers":[],"#, 1), None, "twice"),
        (good.replace("\"size\":3", "\"size\":3,\"size\":4"), None, "twice"),
        (good.replacen("{", r#"{"annotations":{"a":"1","a":"2"},"#, 1), None, "twice"),
        (deep, None, "recursion"),
        (format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#), None, "index-entries"),
        (
            format!(r#"{{"schemaVersion":2,"manifests":[],"x":"{}"}}"#, "x".repeat(4 << 20)),
            None,
            "manifest-bytes",
        ),
    ] {
        let error = read(&text, content_type).unwrap_err();
        let shown: String = text.chars().take(200).collect();
        assert!(error.to_string().contains(hint), "{shown}: {error}");
        assert!(matches!(error.remedy(), Remedy::Refuse | Remedy::Later));
    }
}

#[test]
fn the_number_of_layers_is_capped() {
    let one = descriptor_json("application/vnd.oci.image.layer.v1.tar", 2, "3");
    let text = |count| {
        format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            descriptor_json(CONFIG, 1, "2"),
            vec![one.clone(); count].join(",")
        )
    };
    read(&text(500), None).unwrap();
    assert!(read(&text(501), None).unwrap_err().to_string().contains("limit layers, 500"));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
        let _ = parse(&bytes, None, &Limits::default());
        let _ = ImageConfig::parse(&bytes, &Limits::default());
    }
}

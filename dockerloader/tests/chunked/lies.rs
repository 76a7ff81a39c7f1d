//! Tables of contents that lie: the image arrives all the same.

use serde_json::{Value, json};

use super::*;

/// The image of a table that is changed before it is written. Its annotations are right.
fn lying(format: Compression, alter: fixtures::image::Alter) -> BuiltImage {
    let layer = files(|n| n % 100 == 33).compression(format).alter_table(alter);
    Image::new().layer(layer).build()
}

fn with_payload(entries: &mut [Value]) -> impl Iterator<Item = &mut Value> {
    entries.iter_mut().filter(|entry| entry.get("offset").is_some())
}

#[test]
fn a_table_that_lies_costs_no_more_than_a_download() {
    let lies: [(&str, fixtures::image::Alter); 9] = [
        ("changed files are said to be as before", |entries| {
            for entry in entries {
                let name = entry["name"].as_str().unwrap_or_default().to_owned();
                let number = name.rsplit_once('/').and_then(|(_, number)| number.parse::<u64>().ok());
                if let Some(number) = number.filter(|number| number % 100 == 33) {
                    let old = json!(fixtures::sha256(&noise(number, length(number))));
                    if entry.get("chunkDigest").is_some() {
                        entry["chunkDigest"] = old.clone();
                    }
                    entry["digest"] = old;
                }
            }
        }),
        ("offsets beyond the end", |entries| {
            with_payload(entries).for_each(|entry| entry["offset"] = json!(u64::MAX - 1));
        }),
        ("offsets that overlap", |entries| {
            with_payload(entries).for_each(|entry| entry["offset"] = json!(1000));
        }),
        ("ends before the beginnings", |entries| {
            with_payload(entries).for_each(|entry| entry["endOffset"] = json!(1));
        }),
        ("negative numbers", |entries| with_payload(entries).for_each(|entry| entry["offset"] = json!(-1))),
        ("more entries than the limit", |entries| {
            entries.resize(250_001, json!({ "type": "dir" }));
        }),
        ("a string over the limit", |entries| entries.push(json!({ "name": "x".repeat(200_000) }))),
        ("nothing at all", |entries| entries.clear()),
        ("other types", |entries| entries.push(json!([["not", "an", "entry"]]))),
    ];
    for format in FORMATS {
        let (old, next) = (image(format, |_| false), image(format, |n| n == 44));
        for (what, alter) in lies {
            let what = format!("{format:?}: {what}");
            let new = lying(format, alter);
            let scene = Scene::after(&old);
            assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{what}");
            scene.check_blob(&new, &what);
            // A gzip member of other contents may have another length, and is not taken for the same.
            let is_believed = !(what.contains("as before") && format == Compression::Estargz);
            assert!(scene.assembled().is_none() || !is_believed, "{what}");
            let (size, (_, bytes)) = (new.layers[0].bytes.len() as u64, scene.asked(&new));
            assert!(bytes < size + size / 2, "{what}: {bytes} of {size}");

            // As the old layer it is of no use, and does no harm. What can't be read is one matter.
            if !["changed files", "offsets beyond", "nothing"].iter().any(|lie| what.contains(lie)) {
                continue;
            }
            let scene = Scene::after(&new);
            assert_eq!(scene.pull(&next).unwrap(), staged(&next), "{what}");
            scene.check_blob(&next, &what);
        }
    }
}

#[test]
fn annotations_that_lie_cost_no_more_than_a_download() {
    for format in FORMATS {
        let (old, new) = (image(format, |_| false), image(format, |n| n == 33));
        let size = new.layers[0].bytes.len();
        let lies: Vec<String> = match format {
            Compression::Estargz => vec![fixtures::sha256(b"another table"), "sha256:".into(), String::new()],
            _ => {
                let middle = format!("{}:1000:5000:1", size / 2);
                let end = format!("{}:5:{}:1", size - 5, u64::MAX);
                vec![middle, end, format!("{size}:1:1:1"), "0:0:0:1".into(), "1:2".into(), "9:1:1:1".into()]
            }
        };
        for lie in lies {
            let mut layer = files(|n| n == 33).compression(format).build();
            let said = layer.annotations.iter_mut().find(|(name, _)| !name.ends_with("checksum")).unwrap();
            said.1.clone_from(&lie);
            let new = Image::new().built_layer(layer).build();
            let scene = Scene::after(&old);
            assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{lie}");
            scene.check_blob(&new, &lie);
            assert_eq!(scene.assembled(), None, "{lie}");
            let bytes = scene.asked(&new).1;
            assert!(bytes < (size * 2) as u64, "{lie}: {bytes} of {size}");
        }
    }
}

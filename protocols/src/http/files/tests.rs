use std::path::PathBuf;

use super::path::below;
use super::*;

fn directory(name: &str) -> PathBuf {
    let place =
        std::env::temp_dir().join(format!("wharf-http-files-{name}-{}", std::process::id()));
    std::fs::create_dir_all(place.join("root/sub")).unwrap();
    std::fs::write(place.join("root/a.txt"), "0123456789").unwrap();
    std::fs::write(place.join("root/.hidden"), "secret").unwrap();
    std::fs::write(place.join("root/sub/index.html"), "<p>").unwrap();
    std::fs::write(place.join("secret"), "secret").unwrap();
    place
}

fn get(files: &Files, path: &str, fields: &[(&str, &[u8])]) -> Found {
    files.find("GET", path, None, Headers::new(fields).unwrap())
}

#[test]
fn paths_that_lead_out_name_nothing() {
    let root = Path::new("/srv");
    assert_eq!(below(root, "/"), Some("/srv".into()));
    assert_eq!(below(root, "/a%20b/c"), Some("/srv/a b/c".into()));
    assert_eq!(below(root, "/a/"), Some("/srv/a".into()));
    let bad = [
        "",
        "a",
        "..",
        "/..",
        "/../a",
        "/a/../b",
        "/a/..",
        "/%2e%2e/a",
        "/.%2e/a",
        "/..%2fa",
        "/a%2f..%2fb",
        "//",
        "//a",
        "/a//b",
        "/./a",
        "/.git/config",
        "/a\\..\\b",
        "/%5c..%5c",
        "/a%00",
        "/%0aa",
        "/c:/a",
        "/%",
        "/%2",
        "/%zz",
        "/%ff",
        "/...",
        "/%252e%252e/..",
    ];
    for path in bad {
        assert_eq!(below(root, path), None, "{path}");
    }
    // Decoded once.
    assert_eq!(below(root, "/%252e%252e/a"), Some("/srv/%2e%2e/a".into()));
}

#[test]
fn files_ranges_and_directories() {
    let place = directory("ranges");
    let files = Files::new(place.join("root")).unwrap();
    let status = |path: &str| get(&files, path, &[]).status;
    assert_eq!(status("/a.txt"), 200);
    assert_eq!(status("/a.txt/"), 404);
    assert_eq!(status("/missing"), 404);
    assert_eq!(status("/.hidden"), 404);
    assert_eq!(status("/../secret"), 404);
    assert_eq!(status("/sub/"), 200);
    assert_eq!(status("/"), 404);
    let moved = files.find("GET", "/sub", Some("a=b"), Headers::EMPTY);
    assert_eq!((moved.status, &*moved.fields[0].1), (301, "/sub/?a=b"));
    assert_eq!(files.find("POST", "/a.txt", None, Headers::EMPTY).status, 405);

    let part = get(&files, "/a.txt", &[("Range", b"bytes=2-4")]);
    assert!(matches!(part.content, Content::File { offset: 2, count: 3, .. }));
    assert_eq!(part.status, 206);
    assert!(part.fields.contains(&("Content-Range", "bytes 2-4/10".to_owned())));
    assert_eq!(get(&files, "/a.txt", &[("Range", b"bytes=10-")]).status, 416);
    // Only GET has ranges.
    let headers = Headers::new(&[("Range", b"bytes=10-")]).unwrap();
    assert_eq!(files.find("HEAD", "/a.txt", None, headers).status, 200);

    let tag = get(&files, "/a.txt", &[]).fields[0].1.clone();
    assert_eq!(get(&files, "/a.txt", &[("If-None-Match", tag.as_bytes())]).status, 304);
    assert_eq!(get(&files, "/a.txt", &[("If-Match", b"\"x\"")]).status, 412);
    let both = [("Range", &b"bytes=2-4"[..]), ("If-Range", b"\"x\"")];
    assert_eq!(get(&files, "/a.txt", &both).status, 200);
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn links_that_lead_out_name_nothing() {
    let place = directory("links");
    std::os::unix::fs::symlink(place.join("secret"), place.join("root/out")).unwrap();
    std::os::unix::fs::symlink(&place, place.join("root/up")).unwrap();
    std::os::unix::fs::symlink("a.txt", place.join("root/in")).unwrap();
    let files = Files::new(place.join("root")).unwrap();
    assert_eq!(get(&files, "/out", &[]).status, 404);
    assert_eq!(get(&files, "/up/secret", &[]).status, 404);
    assert_eq!(get(&files, "/in", &[]).status, 200);
    std::fs::remove_dir_all(place).unwrap();
}

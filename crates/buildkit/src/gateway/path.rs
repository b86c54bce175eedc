//! Paths within a context. Knows nothing of what is there.

/// The shortest form of a path, without a leading slash: `./a//b/../c` is `a/c`. What would leave the context stays at
/// its root, as BuildKit has it.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `path` below `directory`, both cleaned.
pub(super) fn join(directory: &str, path: &str) -> String {
    let path = clean(path);
    match clean(directory).as_str() {
        "" => path,
        directory => format!("{directory}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within() {
        for (path, shortest) in [("./a//b/../c", "a/c"), ("/a", "a"), ("../../a", "a"), ("", ""), ("a/..", "")] {
            assert_eq!(clean(path), shortest);
        }
        assert_eq!(join("sub/", "../a"), "sub/a");
        assert_eq!(join(".", "a"), "a");
    }
}

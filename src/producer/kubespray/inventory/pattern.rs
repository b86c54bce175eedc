//! How an inventory names hosts: one name, or a range of names, with a port. Owns their expansion; does not know the hosts.

/// The hosts of a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    pub(super) names: Vec<String>,
    /// The port behind a colon.
    pub(super) port: Option<u16>,
}

/// The hosts that `pattern` names, at most `most`: `node1`, `node[1:3]`, `node[01:10:2].example`, `[a:c]:2222`. The error is a
/// fact about the pattern.
pub(super) fn hosts(pattern: &str, most: usize) -> Result<Hosts, String> {
    let (pattern, port) = port(pattern);
    let mut names = vec![pattern.to_owned()];
    while names.first().is_some_and(|name| name.contains('[')) {
        let mut expanded = Vec::new();
        for name in &names {
            expand(name, &mut expanded, most)?;
        }
        names = expanded;
    }
    Ok(Hosts { names, port })
}

/// The pattern without its port. A colon within brackets is that of a range or of an address.
fn port(pattern: &str) -> (&str, Option<u16>) {
    let Some((host, digits)) = pattern.rsplit_once(':') else { return (pattern, None) };
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let Some(port) = digits.parse().ok().filter(|_| is_number) else { return (pattern, None) };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // `[2001:db8::1]:22`, and not the range `[a:c]`.
    if let Some(address) = bare.filter(|address| address.parse::<std::net::Ipv6Addr>().is_ok()) {
        return (address, Some(port));
    }
    let (mut depth, mut outside) = (0_i32, true);
    for character in host.chars() {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            ':' if depth == 0 => outside = false,
            _ => {}
        }
    }
    if depth == 0 && outside { (host, Some(port)) } else { (pattern, None) }
}

/// Adds the names of the first range in `name`.
fn expand(name: &str, into: &mut Vec<String>, most: usize) -> Result<(), String> {
    let split = name.split_once('[').and_then(|(head, rest)| Some((head, rest.split_once(']')?)));
    let Some((head, (range, tail))) = split else { return Err("has a `[` without a `]`".into()) };
    let bounds: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match bounds[..] {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => {
            return Err(format!(
                "has the range `[{range}]`, but a range is written `[begin:end]` or `[begin:end:step]`"
            ));
        }
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    let invalid =
        || format!("has the invalid range `[{range}]`: write numbers, such as `[1:10]`, or letters, such as `[a:f]`");
    let step: usize = step.parse().ok().filter(|step| *step > 0).ok_or_else(invalid)?;
    let names: Vec<String> = if let (Some(begin), Some(end)) = (letter(begin), letter(end)) {
        if begin > end {
            return Err(format!("has the range `[{range}]`, which ends before it begins"));
        }
        LETTERS[begin..=end].chars().step_by(step).map(String::from).collect()
    } else {
        let width = if begin.starts_with('0') && begin.len() > 1 { begin.len() } else { 0 };
        if width > 0 && width != end.len() {
            return Err(format!(
                "has the range `[{range}]`, but with leading zeros both ends must have the same length"
            ));
        }
        let number = |text: &str| text.parse::<u32>().map_err(|_| invalid());
        let range = number(begin)?..=number(end)?;
        range.step_by(step).take(most + 1).map(|number| format!("{number:0width$}")).collect()
    };
    if into.len() + names.len() > most {
        return Err(format!("names more than {most} hosts"));
    }
    into.extend(names.into_iter().map(|name| format!("{head}{name}{tail}")));
    Ok(())
}

/// The letters of a range, in Python's order.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn letter(text: &str) -> Option<usize> {
    if text.len() == 1 { LETTERS.find(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        hosts(pattern, 100).unwrap().names
    }

    #[test]
    fn ranges() {
        assert_eq!(names("node1"), ["node1"]);
        assert_eq!(names("node[1:3]"), ["node1", "node2", "node3"]);
        assert_eq!(names("node[08:10].example"), ["node08.example", "node09.example", "node10.example"]);
        assert_eq!(names("n[0:6:3]"), ["n0", "n3", "n6"]);
        assert_eq!(names("n[:2]"), ["n0", "n1", "n2"]);
        assert_eq!(names("[a:c]"), ["a", "b", "c"]);
        assert_eq!(names("[y:B]"), ["y", "z", "A", "B"]);
        assert_eq!(names("r[1:2]n[a:b]"), ["r1na", "r1nb", "r2na", "r2nb"]);
        assert_eq!(names("n[3:2]"), [""; 0]);
    }

    #[test]
    fn ports() {
        let port = |pattern: &str| hosts(pattern, 100).unwrap().port;
        assert_eq!((names("node1:22"), port("node1:22")), (vec!["node1".into()], Some(22)));
        assert_eq!(port("node[1:2]:2222"), Some(2222));
        assert_eq!((names("[2001:db8::1]:22"), port("[2001:db8::1]:22")), (vec!["2001:db8::1".into()], Some(22)));
        assert_eq!((names("2001:db8::1"), port("2001:db8::1")), (vec!["2001:db8::1".into()], None));
        assert_eq!(port("node[1:2]"), None);
    }

    #[test]
    fn what_is_wrong_with_a_range() {
        for pattern in
            ["n[1", "n[1]", "n[1:2:3:4]", "n[1:]", "n[a:1]", "n[01:100]", "n[c:a]", "n[1:9:0]", "n[1:101]", "[::1]"]
        {
            hosts(pattern, 100).unwrap_err();
        }
    }
}

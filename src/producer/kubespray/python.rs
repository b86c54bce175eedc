//! Values as Python prints them, which is what Ansible puts into a text. Owns their spelling; does not know templates.

use std::cell::Cell;

use minijinja::value::{Value, ValueKind};

use crate::producer::kubespray::bounds::{MAX_BYTES, MAX_NESTED};

/// A value as Python's `str` writes it; nothing for `None`, as in Ansible.
pub(super) fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => String::new(),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        _ => python(value),
    }
}

/// A value as Python's `repr` writes it, cut where it is too long or too deep: see [`was_cut`].
pub(super) fn python(value: &Value) -> String {
    let mut out = String::new();
    write_python(value, &mut out, 0);
    out
}

thread_local! {
    static CUT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a value was cut since this was asked the last time, in this thread. minijinja prints values itself, and
/// cannot be handed a failure.
pub(super) fn was_cut() -> bool {
    CUT.take()
}

fn write_python(value: &Value, out: &mut String, depth: usize) {
    if out.len() > MAX_BYTES || depth > MAX_NESTED {
        return CUT.set(true);
    }
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
            let escaped = if quote == '\'' { escaped.replace('\'', "\\'") } else { escaped };
            out.extend([quote]);
            out.push_str(&escaped);
            out.extend([quote]);
        }
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)),
        kind @ (ValueKind::Map | ValueKind::Seq | ValueKind::Iterable) => {
            let is_map = kind == ValueKind::Map;
            out.push(if is_map { '{' } else { '[' });
            for (at, item) in value.try_iter().into_iter().flatten().enumerate() {
                if out.len() > MAX_BYTES {
                    return CUT.set(true);
                }
                out.push_str(if at > 0 { ", " } else { "" });
                write_python(&item, out, depth + 1);
                if is_map {
                    out.push_str(": ");
                    write_python(&value.get_item(&item).unwrap_or_default(), out, depth + 1);
                }
            }
            out.push(if is_map { '}' } else { ']' });
        }
        _ => out.push_str(&value.to_string()),
    }
}

/// As Python writes a float: `1.0`, `1.19`, `1e-07`.
fn float(number: f64) -> String {
    let size = number.abs();
    if number.is_finite() && (size >= 1e16 || size > 0.0 && size < 1e-4) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    match number {
        number if number.is_nan() => "nan".into(),
        number if number.is_infinite() => if number > 0.0 { "inf" } else { "-inf" }.into(),
        number => format!("{number:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (number, text) in [(1.19, "1.19"), (1.0, "1.0"), (1e16, "1e+16"), (0.00001, "1e-05"), (-2.5, "-2.5")] {
            assert_eq!(float(number), text);
        }
    }
}

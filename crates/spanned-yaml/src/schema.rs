//! The types of plain scalars, by YAML 1.1 and 1.2. Owns what is a number in each; does not know where a text is from.

use crate::node::{Number, Value};
use crate::options::Schema;

impl Schema {
    /// What a plain scalar of this text stands for: never a collection.
    pub fn resolve(self, text: &str) -> Value {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ => {}
        }
        // Most texts are no number, and this is seen at their first byte.
        let number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
        let number = || number.then_some(text);
        match self {
            Self::V1_1 => match text {
                "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(Value::Bool(true)),
                "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(Value::Bool(false)),
                _ => number().and_then(v1_1).map(Value::Number),
            },
            Self::V1_2 => number().and_then(v1_2).map(Value::Number),
        }
        .unwrap_or_else(|| Value::String(text.into()))
    }
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn special(unsigned: &str) -> Option<f64> {
    match unsigned {
        ".inf" | ".Inf" | ".INF" => Some(f64::INFINITY),
        _ => None,
    }
}

/// An integer of digits that were checked; `written` is what a value too large for an `i64` stays.
fn integer(negative: bool, digits: &str, radix: u32, written: &str) -> Number {
    let value = i128::from_str_radix(digits, radix).ok().map(|value| if negative { -value } else { value });
    match value.and_then(|value| i64::try_from(value).ok()) {
        Some(value) => Number::Int(value),
        None => Number::BigInt(written.to_owned()),
    }
}

fn all(text: &str, digit: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(digit)
}

/// The core schema, YAML 1.2.2 §10.3.2.
fn v1_2(text: &str) -> Option<Number> {
    if let Some(octal) = text.strip_prefix("0o") {
        return all(octal, |b| matches!(b, b'0'..=b'7')).then(|| integer(false, octal, 8, text));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return all(hex, |b| b.is_ascii_hexdigit()).then(|| integer(false, hex, 16, text));
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Number::Float(f64::NAN));
    }
    let (negative, unsigned) = sign(text);
    if let Some(value) = special(unsigned) {
        return Some(Number::Float(if negative { -value } else { value }));
    }
    let digits = |text: &str| all(text, |b| b.is_ascii_digit());
    if digits(unsigned) {
        return Some(integer(negative, unsigned, 10, text));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_is_good =
        exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    let mantissa_is_good = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    (exponent_is_good && mantissa_is_good).then(|| text.parse().ok().map(Number::Float)).flatten()
}

/// YAML 1.1 by the patterns of PyYAML's resolver.
fn v1_1(text: &str) -> Option<Number> {
    v1_1_integer(text).or_else(|| v1_1_float(text).map(Number::Float))
}

fn v1_1_integer(text: &str) -> Option<Number> {
    let (negative, digits) = sign(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let of = |digits: &str, radix: u32| {
        let digits = digits.replace('_', "");
        all(&digits, |b| char::from(b).is_digit(radix)).then(|| integer(negative, &digits, radix, text))
    };
    if let Some(binary) = digits.strip_prefix("0b") {
        of(binary, 2)
    } else if let Some(hex) = digits.strip_prefix("0x") {
        of(hex, 16)
    } else if let Some((first, rest)) = digits.split_once(':') {
        let first = first.replace('_', "");
        if first.starts_with('0') || !all(&first, |b| b.is_ascii_digit()) {
            return None;
        }
        // None: not of base 60. Some(None): too large.
        let value = rest.split(':').try_fold(first.parse::<i64>().ok(), |total, part| {
            let part_value = part.parse::<i64>().ok().filter(|value| *value < 60)?;
            let is_good = part.len() <= 2 && all(part, |b| b.is_ascii_digit());
            is_good.then(|| total.and_then(|total| total.checked_mul(60)?.checked_add(part_value)))
        })?;
        Some(value.map_or_else(
            || Number::BigInt(text.to_owned()),
            |value| Number::Int(if negative { -value } else { value }),
        ))
    } else if digits.len() > 1 && digits.starts_with('0') {
        of(digits, 8)
    } else {
        of(digits, 10)
    }
}

fn v1_1_float(text: &str) -> Option<f64> {
    let (negative, digits) = sign(text);
    let value = match digits {
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        _ if special(digits).is_some() => special(digits)?,
        _ => {
            let (whole, rest) = digits.split_once('.')?;
            let (fraction, exponent) =
                rest.find(['e', 'E']).map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
            let digits_only = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
            let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
            if !(digits_only(whole) && digits_only(fraction) && (starts(whole) || whole.is_empty() && starts(fraction)))
            {
                return None;
            }
            // An exponent has a sign, or this is text.
            let exponent_is_good = exponent.is_none_or(|exponent| {
                exponent.strip_prefix(['+', '-']).is_some_and(|digits| starts(digits) && digits_only(digits))
            });
            exponent_is_good.then(|| digits.replace('_', "").parse::<f64>().ok())??
        }
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(schema: Schema, text: &str) -> String {
        match schema.resolve(text) {
            Value::Null => "null".into(),
            Value::Bool(value) => format!("bool {value}"),
            Value::Number(Number::Int(value)) => format!("int {value}"),
            Value::Number(Number::BigInt(value)) => format!("big {value}"),
            Value::Number(Number::Float(value)) => format!("float {value}"),
            Value::String(text) => format!("text {text}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_scalars_have_the_types_of_each_schema() {
        for (text, v1_1, v1_2) in [
            ("", "null", "null"),
            ("~", "null", "null"),
            ("NULL", "null", "null"),
            ("nULL", "text nULL", "text nULL"),
            ("True", "bool true", "bool true"),
            ("yes", "bool true", "text yes"),
            ("Off", "bool false", "text Off"),
            ("y", "text y", "text y"),
            ("0", "int 0", "int 0"),
            ("-7", "int -7", "int -7"),
            ("+7", "int 7", "int 7"),
            ("-", "text -", "text -"),
            ("0755", "int 493", "int 755"),
            ("089", "text 089", "int 89"),
            ("0o17", "text 0o17", "int 15"),
            ("0x1F", "int 31", "int 31"),
            ("-0x1F", "int -31", "text -0x1F"),
            ("0x", "text 0x", "text 0x"),
            ("0b11", "int 3", "text 0b11"),
            ("0b12", "text 0b12", "text 0b12"),
            ("1_000", "int 1000", "text 1_000"),
            ("1:30", "int 90", "text 1:30"),
            ("-1:30", "int -90", "text -1:30"),
            ("1:60", "text 1:60", "text 1:60"),
            ("1:+5", "text 1:+5", "text 1:+5"),
            ("01:30", "text 01:30", "text 01:30"),
            ("1:30.5", "text 1:30.5", "text 1:30.5"),
            ("9223372036854775807", "int 9223372036854775807", "int 9223372036854775807"),
            ("-9223372036854775808", "int -9223372036854775808", "int -9223372036854775808"),
            ("9223372036854775808", "big 9223372036854775808", "big 9223372036854775808"),
            ("0xffffffffffffffff", "big 0xffffffffffffffff", "big 0xffffffffffffffff"),
            (
                "1_000_000_000_000_000_000:00:00",
                "big 1_000_000_000_000_000_000:00:00",
                "text 1_000_000_000_000_000_000:00:00",
            ),
            ("1.19", "float 1.19", "float 1.19"),
            ("1.20", "float 1.2", "float 1.2"),
            ("1.", "float 1", "float 1"),
            (".5", "float 0.5", "float 0.5"),
            ("-.5", "float -0.5", "float -0.5"),
            (".", "text .", "text ."),
            ("1.5e+3", "float 1500", "float 1500"),
            ("1.5E-3", "float 0.0015", "float 0.0015"),
            ("1.5e3", "text 1.5e3", "float 1500"),
            ("1e3", "text 1e3", "float 1000"),
            ("1e", "text 1e", "text 1e"),
            ("e3", "text e3", "text e3"),
            ("1_0.5_0", "float 10.5", "text 1_0.5_0"),
            (".inf", "float inf", "float inf"),
            ("-.INF", "float -inf", "float -inf"),
            (".nan", "float NaN", "float NaN"),
            ("nan", "text nan", "text nan"),
            ("1.6.32", "text 1.6.32", "text 1.6.32"),
            ("1.30-rc", "text 1.30-rc", "text 1.30-rc"),
            ("v1.29.10", "text v1.29.10", "text v1.29.10"),
            ("2019-04-05", "text 2019-04-05", "text 2019-04-05"),
        ] {
            assert_eq!(shown(Schema::V1_1, text), v1_1, "{text} in 1.1");
            assert_eq!(shown(Schema::V1_2, text), v1_2, "{text} in 1.2");
        }
    }
}

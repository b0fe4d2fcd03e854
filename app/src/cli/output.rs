//! Results on stdout: JSON as it is, or the same as YAML, as the SDK prints them.

use std::{
    io::{self, ErrorKind, Write},
    str::FromStr,
};

use anyhow::{Result, bail};

/// Form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// YAML with sorted keys.
    Text,
    /// JSON on one line.
    Json,
}

impl FromStr for Format {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => bail!("invalid output format {other}: use text or json"),
        }
    }
}

impl Format {
    /// Prints a JSON text in this form.
    pub(super) fn print(self, json: &str) -> Result<()> {
        match self {
            Self::Json => line(json),
            Self::Text => line(yaml(json)?.trim_end()),
        }
    }
}

/// Prints a line; a reader that went away is no error.
pub(super) fn line(text: &str) -> Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn yaml(json: &str) -> Result<String> {
    let mut value: serde_json::Value = serde_json::from_str(json)?;
    value.sort_all_objects();
    Ok(serde_yaml_ng::to_string(&value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_sorted_yaml_that_keeps_strings_strings() {
        let text = yaml(r#"{"height":"5","coins":[{"denom":"ugantry","amount":"7"}],"code":0,"none":null}"#).unwrap();
        assert_eq!(text, "code: 0\ncoins:\n- amount: '7'\n  denom: ugantry\nheight: '5'\nnone: null\n");
    }
}

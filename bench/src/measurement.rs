use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One figure, with all that one must know to compare it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was measured, such as `tree.updates`.
    pub name: String,
    /// Unit, such as `1/s`, `us`, `bytes`.
    pub unit: String,
    /// The figure.
    pub value: f64,
    /// What it was measured with and on.
    pub settings: Map<String, Value>,
}

impl Measurement {
    /// A figure without settings.
    pub fn new(name: &str, unit: &str, value: f64) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned(), value, settings: Map::new() }
    }

    /// Adds a setting.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    /// Writes it as one line of JSON to standard output, where the driver collects it.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print(&self) -> io::Result<()> {
        let line = serde_json::to_string(self)?;
        writeln!(io::stdout().lock(), "{line}")
    }
}

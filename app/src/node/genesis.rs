//! `genesis.json`: CometBFT's GenesisDoc with an `app_state` in the SDK's shape. The SDK's own AppGenesis is accepted and
//! converted, because tools that make genesis files write either.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::home::Home;

/// A genesis document in CometBFT's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Genesis(pub Value);

impl Genesis {
    /// Reads `genesis.json`. One in the SDK's shape is replaced by its conversion, because CometBFT reads the file too;
    /// the original stays beside it as `genesis.sdk.json`.
    ///
    /// # Errors
    /// When there is none, or it is neither shape.
    pub fn load(home: &Home) -> Result<Self> {
        let path = home.genesis();
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let json: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        if json.get("consensus").is_none() {
            let genesis = Self(json);
            genesis.check().with_context(|| path.display().to_string())?;
            return Ok(genesis);
        }
        let genesis = Self::from_app_genesis(json).with_context(|| path.display().to_string())?;
        let kept = path.with_extension("sdk.json");
        fs::write(&kept, text).with_context(|| format!("writing {}", kept.display()))?;
        genesis.save(home)?;
        tracing::info!(original = %kept.display(), "genesis.json had the SDK's shape and was converted");
        Ok(genesis)
    }

    /// Writes `genesis.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, home: &Home) -> Result<()> {
        let path = home.genesis();
        let mut text = serde_json::to_string_pretty(&self.0)?;
        text.push('\n');
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, text).with_context(|| format!("writing {}", fresh.display()))?;
        fs::rename(&fresh, &path).with_context(|| format!("replacing {}", path.display()))
    }

    /// The SDK's AppGenesis (`initial_height` a number, `consensus.{params, validators}`) as a GenesisDoc.
    ///
    /// # Errors
    /// When it is not an AppGenesis.
    pub fn from_app_genesis(json: Value) -> Result<Self> {
        let Value::Object(mut sdk) = json else { anyhow::bail!("genesis is not an object") };
        let consensus = sdk.remove("consensus").context("genesis has no consensus section")?;
        let initial_height = match sdk.remove("initial_height") {
            None | Some(Value::Null) => "1".to_owned(),
            Some(Value::String(text)) => text,
            Some(number) => number.to_string(),
        };
        let mut doc = Map::new();
        for field in ["genesis_time", "chain_id"] {
            if let Some(value) = sdk.remove(field) {
                doc.insert(field.into(), value);
            }
        }
        doc.insert("initial_height".into(), initial_height.into());
        doc.insert("consensus_params".into(), consensus.get("params").cloned().unwrap_or(Value::Null));
        doc.insert(
            "validators".into(),
            match consensus.get("validators") {
                None | Some(Value::Null) => Value::Array(Vec::new()),
                Some(validators) => validators.clone(),
            },
        );
        let app_hash = sdk.remove("app_hash").filter(|hash| !hash.is_null());
        doc.insert("app_hash".into(), app_hash.unwrap_or_else(|| "".into()));
        doc.insert("app_state".into(), sdk.remove("app_state").unwrap_or(Value::Null));
        let genesis = Self(Value::Object(doc));
        genesis.check()?;
        Ok(genesis)
    }

    /// The chain id.
    #[must_use]
    pub fn chain_id(&self) -> &str {
        self.0.get("chain_id").and_then(Value::as_str).unwrap_or_default()
    }

    /// `app_state`.
    #[must_use]
    pub fn app_state(&self) -> &Value {
        self.0.get("app_state").unwrap_or(&Value::Null)
    }

    fn check(&self) -> Result<()> {
        let id = self.chain_id();
        anyhow::ensure!(!id.is_empty() && id.len() <= 50, "chain_id must have 1 to 50 bytes, has {}", id.len());
        anyhow::ensure!(self.app_state().is_object(), "app_state is missing or not an object");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shape_of_the_sdk_is_converted() {
        let sdk = json!({
            "app_name": "simd", "app_version": "1", "genesis_time": "2026-01-01T00:00:00Z", "chain_id": "gantry-1",
            "initial_height": 1, "app_hash": null, "app_state": {"auth": {}},
            "consensus": {"params": {"block": {"max_bytes": "1", "max_gas": "-1"}}, "validators": [{"power": "10"}]},
        });
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path());
        home.create().unwrap();
        fs::write(home.genesis(), sdk.to_string()).unwrap();
        let genesis = Genesis::load(&home).unwrap();
        assert_eq!(
            genesis.0,
            json!({
                "genesis_time": "2026-01-01T00:00:00Z", "chain_id": "gantry-1", "initial_height": "1",
                "consensus_params": {"block": {"max_bytes": "1", "max_gas": "-1"}},
                "validators": [{"power": "10"}], "app_hash": "", "app_state": {"auth": {}},
            })
        );
        assert_eq!(Genesis::load(&home).unwrap(), genesis, "what was written reads as itself");
        assert!(home.config_dir().join("genesis.sdk.json").exists());
    }

    #[test]
    fn a_genesis_without_state_or_name_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path());
        home.create().unwrap();
        for bad in [json!({"chain_id": "x"}), json!({"app_state": {}}), json!([])] {
            fs::write(home.genesis(), bad.to_string()).unwrap();
            assert!(Genesis::load(&home).is_err(), "{bad}");
        }
    }
}

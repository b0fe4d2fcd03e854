//! Generates `proto/src/gen`: Rust types and gRPC stubs of Gantry's own packages, and one descriptor set of everything
//! that a node serves. Run through `./dev proto`; needs Go (for the pinned modules that carry third-party .proto
//! files) and protoc. The result is committed, so building Gantry needs neither.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use prost::Message;
use prost_types::FileDescriptorSet;

/// Third-party services that a node serves besides Gantry's own. Their types come from `cosmos-sdk-proto`; only their
/// descriptors are generated, for reflection, strict decoding and JSON.
const SERVED_FILES: &[&str] = &[
    "cosmos/auth/v1beta1/genesis.proto",
    "cosmos/auth/v1beta1/query.proto",
    "cosmos/auth/v1beta1/tx.proto",
    "cosmos/bank/v1beta1/genesis.proto",
    "cosmos/bank/v1beta1/query.proto",
    "cosmos/bank/v1beta1/tx.proto",
    "cosmos/base/abci/v1beta1/abci.proto",
    "cosmos/base/node/v1beta1/query.proto",
    "cosmos/base/reflection/v1beta1/reflection.proto",
    "cosmos/base/tendermint/v1beta1/query.proto",
    "cosmos/crypto/ed25519/keys.proto",
    "cosmos/crypto/multisig/keys.proto",
    "cosmos/crypto/multisig/v1beta1/multisig.proto",
    "cosmos/crypto/secp256k1/keys.proto",
    "cosmos/tx/v1beta1/service.proto",
    "cosmos/tx/v1beta1/tx.proto",
];

/// Go modules of `proto/deps/go.mod`, and the folder in each that is an import root.
const IMPORT_ROOTS: &[(&str, &str)] = &[
    ("github.com/cosmos/cosmos-proto", "proto"),
    ("github.com/cosmos/cosmos-sdk", "proto"),
    ("github.com/cosmos/gogoproto", "."),
    ("github.com/grpc-ecosystem/grpc-gateway", "third_party/googleapis"),
];

/// Roots of the packages that are not generated.
const THIRD_PARTY_PACKAGES: &[&str] = &["amino", "cosmos", "cosmos_proto", "gogoproto", "google.api", "tendermint"];

fn main() -> Result<()> {
    let proto =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the generator lies in proto/codegen")?.to_path_buf();
    let out = proto.join("src/gen");
    let mut includes = vec![proto.clone()];
    for (module, folder) in IMPORT_ROOTS {
        includes.push(module_dir(&proto.join("deps"), module)?.join(folder));
    }

    let mut ours = Vec::new();
    find_protos(&proto.join("gantry"), &mut ours)?;
    ours.sort();
    ensure!(!ours.is_empty(), "no .proto files under {}", proto.display());

    let descriptors = fresh_dir(&out)?.join("descriptor.bin");
    let mut files: Vec<PathBuf> = ours.clone();
    files.extend(SERVED_FILES.iter().map(PathBuf::from));
    // Comments are for the generated code; the committed set is protoc's own bytes without them, because decoding and
    // encoding it here would lose the extension options (signers, Amino names, HTTP paths).
    let commented = out.join("commented.bin");
    run_protoc(&includes, &files, &commented, &["--include_source_info"])?;
    run_protoc(&includes, &files, &descriptors, &[])?;
    let set = FileDescriptorSet::decode(fs::read(&commented)?.as_slice())?;
    fs::remove_file(&commented)?;
    let served = set.file.len();

    let mut config = prost_build::Config::new();
    config.out_dir(&out).enable_type_names();
    // Only our packages become Rust: the rest is in cosmos-sdk-proto, or (options) in no message of ours.
    for package in THIRD_PARTY_PACKAGES {
        config.extern_path(format!(".{package}"), format!("::cosmos_sdk_proto::{}", package.replace('.', "::")));
    }
    tonic_build::configure()
        .build_server(true)
        .build_client(true)
        .build_transport(false)
        .out_dir(&out)
        .compile_fds_with_config(config, set)
        .context("generating Rust")?;
    write_root(&out)?;
    println!("{} files of ours, {served} in the descriptor set", ours.len());
    Ok(())
}

fn module_dir(deps: &Path, module: &str) -> Result<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .current_dir(deps)
        .output()
        .context("running go: install Go 1.22 or newer")?;
    let info: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("go mod download {module}: {}", String::from_utf8_lossy(&output.stderr)))?;
    info["Dir"].as_str().map(PathBuf::from).with_context(|| format!("{module}: {}", info["Error"]))
}

/// Removes the files of external packages (prost writes one for each package) and writes the module tree of ours.
fn write_root(out: &Path) -> Result<()> {
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rs") && name != "mod.rs" && !name.starts_with("gantry.") {
            fs::remove_file(path)?;
        }
    }
    let mut root = String::from("// @generated\n");
    let mut names: Vec<String> = fs::read_dir(out)?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter_map(|n| n.strip_suffix(".rs").map(str::to_owned))
        .filter(|n| n.starts_with("gantry."))
        .collect();
    names.sort();
    root.push_str("/// Gantry's packages.\npub mod gantry {\n");
    for name in names {
        let parts: Vec<&str> = name.split('.').collect();
        let [_, module, version] = parts[..] else { bail!("package {name} is not gantry.<module>.<version>") };
        root.push_str(&format!(
            "    pub mod {module} {{\n        pub mod {version} {{\n            include!(\"{name}.rs\");\n        }}\n    }}\n"
        ));
    }
    root.push_str("}\n");
    fs::write(out.join("mod.rs"), root)?;
    Ok(())
}

fn find_protos(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

fn fresh_dir(dir: &Path) -> Result<&Path> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    Ok(dir)
}

fn run_protoc(includes: &[PathBuf], files: &[PathBuf], out: &Path, options: &[&str]) -> Result<()> {
    let mut protoc = Command::new("protoc");
    protoc.arg("--include_imports").args(options).arg("-o").arg(out);
    for include in includes {
        protoc.arg("-I").arg(include);
    }
    let status = protoc.args(files).status().context("running protoc: install protobuf-compiler")?;
    ensure!(status.success(), "protoc failed");
    Ok(())
}

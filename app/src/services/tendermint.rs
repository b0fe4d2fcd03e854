//! `cosmos.base.tendermint.v1beta1.Service`: the node, its blocks and validators.

use cosmos_sdk_proto::{
    Any,
    cosmos::{
        base::{
            query::v1beta1::{PageRequest, PageResponse},
            tendermint::v1beta1::{
                AbciQueryRequest, AbciQueryResponse, Block as SdkBlock, GetBlockByHeightRequest,
                GetBlockByHeightResponse, GetLatestBlockRequest, GetLatestBlockResponse, GetLatestValidatorSetRequest,
                GetLatestValidatorSetResponse, GetNodeInfoRequest, GetNodeInfoResponse, GetSyncingRequest,
                GetSyncingResponse, GetValidatorSetByHeightRequest, GetValidatorSetByHeightResponse, Header, Module,
                ProofOp, ProofOps, Validator, VersionInfo,
            },
        },
        crypto::ed25519,
    },
    tendermint::{
        abci::RequestQuery,
        p2p::{DefaultNodeInfo, DefaultNodeInfoOther, ProtocolVersion},
        types::{Block, BlockId},
    },
};
use gantry_abci::{Engine, query_engine};
use gantry_core::{Address, CONSENSUS_PREFIX, QueryCtx, QueryRoute, Status};
use prost::{Message, Name};
use tendermint::{PublicKey, block::Height};
use tendermint_rpc::{Client as _, Paging};

use super::{comet::Comet, page};
use crate::modules::{COMPATIBLE_WITH, COSMOS_SDK_VERSION, NAME, VERSION};

pub(super) fn routes(engine: &Engine, comet: &Comet) -> Vec<QueryRoute> {
    /// A route whose handler takes CometBFT.
    macro_rules! route {
        ($method:literal, $handler:ident) => {{
            let comet = comet.clone();
            QueryRoute::new(concat!("/cosmos.base.tendermint.v1beta1.Service/", $method), move |ctx, request| {
                $handler(&comet, ctx, request)
            })
        }};
    }
    let engine = engine.clone();
    vec![
        route!("GetNodeInfo", node_info),
        route!("GetSyncing", syncing),
        route!("GetLatestBlock", latest_block),
        route!("GetBlockByHeight", block_by_height),
        route!("GetLatestValidatorSet", latest_validators),
        route!("GetValidatorSetByHeight", validators_by_height),
        QueryRoute::new("/cosmos.base.tendermint.v1beta1.Service/ABCIQuery", move |_, request| {
            abci_query(&engine, request)
        }),
    ]
}

/// Relayers read `build_deps` to learn what this chain is compatible with; explorers read `cosmos_sdk_version`.
fn node_info(
    comet: &Comet,
    _: &QueryCtx<'_>,
    GetNodeInfoRequest {}: GetNodeInfoRequest,
) -> Result<GetNodeInfoResponse, Status> {
    let info = comet.ask(|rpc| rpc.status())?.node_info;
    let protocol = info.protocol_version;
    Ok(GetNodeInfoResponse {
        default_node_info: Some(DefaultNodeInfo {
            protocol_version: Some(ProtocolVersion { p2p: protocol.p2p, block: protocol.block, app: protocol.app }),
            default_node_id: info.id.to_string(),
            listen_addr: info.listen_addr.as_str().to_owned(),
            network: info.network.to_string(),
            version: info.version.to_string(),
            channels: hex::decode(info.channels.to_string()).unwrap_or_default(),
            moniker: info.moniker.to_string(),
            other: Some(DefaultNodeInfoOther {
                tx_index: match info.other.tx_index {
                    tendermint::node::info::TxIndexStatus::On => "on".to_owned(),
                    tendermint::node::info::TxIndexStatus::Off => "off".to_owned(),
                },
                rpc_address: info.other.rpc_address.to_string(),
            }),
        }),
        application_version: Some(VersionInfo {
            name: "gantry".to_owned(),
            app_name: NAME.to_owned(),
            version: VERSION.to_owned(),
            git_commit: option_env!("GANTRY_COMMIT").unwrap_or_default().to_owned(),
            build_tags: String::new(),
            go_version: String::new(),
            build_deps: COMPATIBLE_WITH
                .iter()
                .map(|(path, version)| Module {
                    path: (*path).to_owned(),
                    version: (*version).to_owned(),
                    sum: String::new(),
                })
                .collect(),
            cosmos_sdk_version: COSMOS_SDK_VERSION.to_owned(),
        }),
    })
}

fn syncing(
    comet: &Comet,
    _: &QueryCtx<'_>,
    GetSyncingRequest {}: GetSyncingRequest,
) -> Result<GetSyncingResponse, Status> {
    let status = comet.ask(|rpc| rpc.status())?;
    Ok(GetSyncingResponse { syncing: status.sync_info.catching_up })
}

fn latest_block(
    comet: &Comet,
    _: &QueryCtx<'_>,
    GetLatestBlockRequest {}: GetLatestBlockRequest,
) -> Result<GetLatestBlockResponse, Status> {
    let response = comet.ask(|rpc| rpc.latest_block())?;
    let (block_id, block): (BlockId, Block) = (response.block_id.into(), response.block.into());
    let sdk_block = sdk_block(&block)?;
    Ok(GetLatestBlockResponse { block_id: Some(block_id), block: Some(block), sdk_block: Some(sdk_block) })
}

fn block_by_height(
    comet: &Comet,
    ctx: &QueryCtx<'_>,
    request: GetBlockByHeightRequest,
) -> Result<GetBlockByHeightResponse, Status> {
    let GetBlockByHeightRequest { height } = request;
    let height = past_height(ctx, height)?;
    let (block_id, block) = comet.block(height)?;
    let sdk_block = sdk_block(&block)?;
    Ok(GetBlockByHeightResponse { block_id: Some(block_id), block: Some(block), sdk_block: Some(sdk_block) })
}

/// Blocks that are decided, in the SDK's words.
fn past_height(ctx: &QueryCtx<'_>, height: i64) -> Result<u64, Status> {
    match u64::try_from(height) {
        Ok(height @ 1..) if height <= ctx.block().height => Ok(height),
        Ok(1..) => Err(Status::invalid("requested block height is bigger then the chain length")),
        _ => Err(Status::invalid("block height must be greater than 0")),
    }
}

/// The block with its proposer in bech32.
fn sdk_block(block: &Block) -> Result<SdkBlock, Status> {
    let header = block.header.clone().unwrap_or_default();
    let proposer = Address::new(header.proposer_address)?;
    Ok(SdkBlock {
        header: Some(Header {
            version: header.version,
            chain_id: header.chain_id,
            height: header.height,
            time: header.time,
            last_block_id: header.last_block_id,
            last_commit_hash: header.last_commit_hash,
            data_hash: header.data_hash,
            validators_hash: header.validators_hash,
            next_validators_hash: header.next_validators_hash,
            consensus_hash: header.consensus_hash,
            app_hash: header.app_hash,
            last_results_hash: header.last_results_hash,
            evidence_hash: header.evidence_hash,
            proposer_address: proposer.to_bech32(CONSENSUS_PREFIX),
        }),
        data: block.data.clone(),
        evidence: block.evidence.clone(),
        last_commit: block.last_commit.clone(),
    })
}

fn latest_validators(
    comet: &Comet,
    ctx: &QueryCtx<'_>,
    request: GetLatestValidatorSetRequest,
) -> Result<GetLatestValidatorSetResponse, Status> {
    let GetLatestValidatorSetRequest { pagination } = request;
    let (block_height, validators, pagination) = validators(comet, ctx.block().height, pagination)?;
    Ok(GetLatestValidatorSetResponse { block_height, validators, pagination: Some(pagination) })
}

fn validators_by_height(
    comet: &Comet,
    ctx: &QueryCtx<'_>,
    request: GetValidatorSetByHeightRequest,
) -> Result<GetValidatorSetByHeightResponse, Status> {
    let GetValidatorSetByHeightRequest { height, pagination } = request;
    let height = past_height(ctx, height)?;
    let (block_height, validators, pagination) = validators(comet, height, pagination)?;
    Ok(GetValidatorSetByHeightResponse { block_height, validators, pagination: Some(pagination) })
}

fn validators(
    comet: &Comet,
    height: u64,
    pagination: Option<PageRequest>,
) -> Result<(i64, Vec<Validator>, PageResponse), Status> {
    let height = Height::try_from(height).map_err(|error| Status::invalid(error.to_string()))?;
    let response = comet.ask(|rpc| rpc.validators(height, Paging::All))?;
    let (shown, pagination) = page(response.validators, pagination);
    let validators = shown.into_iter().map(validator).collect::<Result<_, _>>()?;
    Ok((height.into(), validators, pagination))
}

fn validator(info: tendermint::validator::Info) -> Result<Validator, Status> {
    let pub_key = match info.pub_key {
        PublicKey::Ed25519(key) => {
            let key = ed25519::PubKey { key: key.as_bytes().to_vec() };
            Some(Any { type_url: ed25519::PubKey::type_url(), value: key.encode_to_vec() })
        }
        _ => None,
    };
    Ok(Validator {
        address: Address::new(info.address.as_bytes())?.to_bech32(CONSENSUS_PREFIX),
        pub_key,
        voting_power: info.power.into(),
        proposer_priority: info.proposer_priority.value(),
    })
}

/// Raw reads and `/app`: not gRPC paths, which would lead back here.
fn abci_query(engine: &Engine, request: AbciQueryRequest) -> Result<AbciQueryResponse, Status> {
    let AbciQueryRequest { data, path, height, prove } = request;
    let answer = query_engine(engine, RequestQuery { data: data.into(), path, height, prove });
    Ok(AbciQueryResponse {
        code: answer.code,
        log: answer.log,
        info: answer.info,
        index: answer.index,
        key: answer.key.into(),
        value: answer.value.into(),
        proof_ops: answer.proof_ops.map(|ops| ProofOps {
            ops: ops.ops.into_iter().map(|op| ProofOp { r#type: op.r#type, key: op.key, data: op.data }).collect(),
        }),
        height: answer.height,
        codespace: answer.codespace,
    })
}

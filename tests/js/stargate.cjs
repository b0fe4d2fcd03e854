// What a web wallet does, by CosmJS, against a running node. Usage: node stargate.cjs RPC, with the sender's key in
// hexadecimal in RENTER_KEY. Any surprise throws.
const assert = require("node:assert/strict");
const { fromBech32, fromHex, fromUtf8, toBech32, toUtf8 } = require("@cosmjs/encoding");
const { DirectSecp256k1Wallet, decodeTxRaw } = require("@cosmjs/proto-signing");
const {
  GasPrice,
  QueryClient,
  SigningStargateClient,
  StargateClient,
  assertIsDeliverTxSuccess,
  coins,
  setupAuthExtension,
  setupBankExtension,
  setupTxExtension,
} = require("@cosmjs/stargate");
const { Comet38Client } = require("@cosmjs/tendermint-rpc");

const DENOM = "ugantry";
const balanceKey = (address) =>
  Uint8Array.from([2, 20, ...fromBech32(address).data, ...toUtf8(DENOM)]);

async function main(rpc, key) {
  const wallet = await DirectSecp256k1Wallet.fromKey(fromHex(key), "gantry");
  const [{ address }] = await wallet.getAccounts();
  const friend = toBech32("gantry", new Uint8Array(20).fill(3));
  const stranger = toBech32("gantry", new Uint8Array(20).fill(4));

  const reader = await StargateClient.connect(rpc);
  assert.match(await reader.getChainId(), /^gantry-/);
  assert.equal(await reader.getAccount(friend), null, "an address without an account is null, not an error");
  assert.deepEqual(await reader.getBalance(friend, DENOM), { denom: DENOM, amount: "0" });
  assert.deepEqual(await reader.getAllBalances(friend), []);
  const fresh = await reader.getAccount(address);
  assert.deepEqual([fresh.address, fresh.sequence, fresh.pubkey], [address, 0, null]);
  assert.equal(await reader.getTx("00".repeat(32)), null);

  const client = await SigningStargateClient.connectWithSigner(rpc, wallet, {
    gasPrice: GasPrice.fromString(`0.0025${DENOM}`),
    broadcastPollIntervalMs: 200,
  });
  const coinsOf = async (who) => BigInt((await client.getBalance(who, DENOM)).amount);
  const had = await coinsOf(address);

  // Gas by simulation, which CosmJS signs with nothing.
  const sent = await client.sendTokens(address, friend, coins(77, DENOM), "auto", "from CosmJS");
  assertIsDeliverTxSuccess(sent);
  assert.equal(sent.rawLog, "", "what CosmJS finds here it reads as JSON");
  assert.ok(sent.gasUsed > 0n && sent.gasUsed <= sent.gasWanted);
  const transfer = sent.events.find((event) => event.type === "transfer" && event.attributes.some((a) => a.value === friend));
  assert.ok(transfer, "no transfer event");
  assert.equal(sent.msgResponses[0].typeUrl, "/cosmos.bank.v1beta1.MsgSendResponse");
  const found = await client.getTx(sent.transactionHash);
  assert.deepEqual([found.height, found.code], [sent.height, 0]);
  const decoded = decodeTxRaw(found.tx);
  assert.equal(decoded.body.memo, "from CosmJS");
  const fee = BigInt(decoded.authInfo.fee.amount[0].amount);
  assert.equal(await coinsOf(friend), 77n);
  assert.equal(await coinsOf(address), had - 77n - fee);
  const after = await client.getAccount(address);
  assert.equal(after.sequence, 1);
  assert.equal(after.pubkey.type, "tendermint/PubKeySecp256k1");

  // Searches, by both of CosmJS's forms.
  for (const query of [[{ key: "transfer.recipient", value: friend }], `transfer.recipient='${friend}' AND tx.height=${sent.height}`]) {
    const hits = await client.searchTx(query);
    assert.deepEqual(hits.map((tx) => tx.hash), [sent.transactionHash]);
  }

  // Failures: found by simulation, in the block, and by the node's check.
  const tooMuch = coins("999999999999999", DENOM);
  await assert.rejects(client.sendTokens(address, friend, tooMuch, "auto"), /is smaller than .*: insufficient funds/);
  const paid = { amount: coins(500, DENOM), gas: "200000" };
  const failed = await client.sendTokens(address, friend, tooMuch, paid);
  assert.equal(failed.code, 5);
  assert.match(failed.rawLog ?? "", /insufficient funds/);
  await assert.rejects(
    client.sendTokens(address, friend, coins(1, DENOM), { amount: coins(1, DENOM), gas: "200000" }),
    /Broadcasting transaction failed with code 13 \(codespace: sdk\)\. Log: insufficient fees/,
  );

  // Rows with proofs, which CosmJS checks against the next header.
  const comet = await Comet38Client.connect(rpc);
  const query = QueryClient.withExtensions(comet, setupAuthExtension, setupBankExtension, setupTxExtension);
  const row = await query.queryStoreVerified("bank", balanceKey(friend), sent.height);
  assert.equal(fromUtf8(row.value), "77");
  const before = await query.queryStoreVerified("bank", balanceKey(friend), sent.height - 1);
  assert.equal(before.value.length, 0, "absent, by proof");
  const raw = await query.queryRawProof("bank", balanceKey(stranger), sent.height);
  assert.deepEqual(raw.proof.ops.map((op) => op.type), ["ics23:iavl", "ics23:simple"]);

  // The extensions that front ends use.
  assert.deepEqual((await query.bank.supplyOf(DENOM)).denom, DENOM);
  assert.ok((await query.bank.totalSupply()).supply.length >= 1);
  assert.equal((await query.tx.getTx(sent.transactionHash)).txResponse.txhash, sent.transactionHash);
  assert.equal((await query.auth.account(address)).typeUrl, "/cosmos.auth.v1beta1.BaseAccount");
  console.log("CosmJS is content");
}

// CosmJS leaves timers behind that would keep the process for another minute.
main(process.argv[2], process.env.RENTER_KEY).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

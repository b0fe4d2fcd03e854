// Where third-party .proto files come from: read from the module cache at generation time, never copied here.
module gantry.dev/proto/deps

go 1.23

require (
	github.com/cosmos/cosmos-proto v1.0.0-beta.5
	github.com/cosmos/cosmos-sdk v0.50.11
	github.com/cosmos/gogoproto v1.7.0
	github.com/grpc-ecosystem/grpc-gateway v1.16.0
)

module gantry.network/store/golden

go 1.24

require (
	cosmossdk.io/log v1.4.1
	cosmossdk.io/store v1.1.1
	github.com/cosmos/cosmos-db v1.1.1
	github.com/cosmos/iavl v1.2.2
	github.com/cosmos/ics23/go v0.11.0
)

replace github.com/syndtr/goleveldb => github.com/syndtr/goleveldb v1.0.1-0.20210819022825-2ae1ddf74ef7

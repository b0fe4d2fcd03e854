// kvstore serves CometBFT's in-memory example application on a socket: `kvstore unix:///PATH`.
// It is the same application that `cometbft node --proxy_app=kvstore` runs in process.
package main

import (
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	"github.com/cometbft/cometbft/abci/server"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: kvstore unix:///PATH|tcp://HOST:PORT")
	}
	socket := server.NewSocketServer(os.Args[1], kvstore.NewInMemoryApplication())
	if err := socket.Start(); err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}

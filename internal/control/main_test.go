package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// askVar makes the test binary a client that asks the socket in it for its
// status: as another user, it must be another process.
const askVar = "CONTROL_TEST_ASK"

func TestMain(m *testing.M) {
	if socket := os.Getenv(askVar); socket != "" {
		ask(socket)
		return
	}
	goleak.VerifyTestMain(m)
}

// ask prints what it gets: "permission" for a refusal in these words.
func ask(socket string) {
	client, err := Dial(socket)
	if err == nil {
		_, err = client.Status(context.Background())
	}
	if errors.Is(err, ErrPermission) {
		fmt.Print("permission: ")
	}
	fmt.Println(err)
}

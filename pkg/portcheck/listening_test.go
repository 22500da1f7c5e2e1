package portcheck

import (
	"net"
	"os"
	"slices"
	"testing"
)

func TestListening(t *testing.T) {
	t.Setenv("HOST_PROC", t.TempDir())
	var want []int
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		want = append(want, listener.Addr().(*net.TCPAddr).Port)
		client, err := net.Dial("tcp", listener.Addr().String()) // its port is connected, not listened on
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
	}
	slices.Sort(want)
	got := Listening(t.Context(), []int{os.Getpid(), 1<<22 + 1})
	if len(got) != 1 || !slices.Equal(got[os.Getpid()], want) {
		t.Errorf("%v, want %v of PID %d alone", got, want, os.Getpid())
	}
}

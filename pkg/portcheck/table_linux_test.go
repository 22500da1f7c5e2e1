package portcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A table as a little-endian machine shows it.
const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 25001 1 0000000000000000 100 0 0 10 0
   1: 00000000:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 25002 1 0000000000000000 100 0 0 10 0
   2: 0100007F:9C40 0100007F:1388 01 00000000:00000000 00:00000000 00000000     0        0 25003 1 0000000000000000 20 4 30 10 -1
   3: 0100007F:1388 0100007F:9C40 06 00000000:00000000 03:00000A3D 00000000     0        0 0 3 0000000000000000
   4: 0100007F:1388 0100007F:9C41 0D 00000000:00000000 03:00000A3D 00000000 4294967294        0 4294967295 3 0000000000000000
`

const table6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1388 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 25004 1 0000000000000000 100 0 0 10 0
   1: 000080FE00000000FF005450020000FE:1388 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 25005 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1388 0000000000000000FFFF00000200007F:9C40 08 00000000:00000000 00:00000000 00000000     0        0 25006 1 0000000000000000 20 4 1 10 -1
`

func littleEndian(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("this machine writes its tables in the other order")
	}
}

func TestReadTable(t *testing.T) {
	littleEndian(t)
	at := netip.MustParseAddrPort
	for name, tt := range map[string]struct {
		table string
		port  int
		want  []socket
	}{
		"IPv4": {table, 5000, []socket{
			{local: at("127.0.0.1:5000"), state: "LISTEN", uid: 1000, inode: 25001},
			{local: at("127.0.0.1:5000"), state: "TIME_WAIT"},
			{local: at("127.0.0.1:5000"), state: "0D", uid: 4294967294, inode: 4294967295},
		}},
		"wildcard":    {table, 5001, []socket{{local: at("0.0.0.0:5001"), state: "LISTEN", inode: 25002}}},
		"a client's":  {table, 40000, []socket{{local: at("127.0.0.1:40000"), state: "ESTABLISHED", inode: 25003}}},
		"nobody's":    {table, 5002, nil},
		"no sockets":  {table[:strings.Index(table, "\n")+1], 5000, nil},
		"the probe's": {"", 5000, nil},
		"IPv6": {table6, 5000, []socket{
			{local: at("[::]:5000"), state: "LISTEN", inode: 25004},
			{local: at("[fe80::5054:ff:fe00:2]:5000"), state: "LISTEN", inode: 25005},
			{local: at("127.0.0.1:5000"), state: "CLOSE_WAIT", inode: 25006},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readTable(t.Context(), strings.NewReader(tt.table), tt.port)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(socket{}), cmp.Comparer(same)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func same(a, b netip.AddrPort) bool { return a == b }

func TestReadTableRefuses(t *testing.T) {
	good := strings.Split(table, "\n")[1]
	for want, line := range map[string]string{
		"it has 9 fields, not 10":               strings.Join(strings.Fields(good)[:9], " "),
		`"10007F:1388" is no address`:           strings.Replace(good, "0100007F", "10007F", 1),
		`"010000-F:1388" is no address`:         strings.Replace(good, "0100007F", "010000-F", 1),
		`"-1" is no user id`:                    strings.Replace(good, "  1000 ", "  -1 ", 1),
		`"25001x" is no inode`:                  strings.Replace(good, "25001", "25001x", 1),
		`token too long`:                        strings.Repeat("x", 1<<20),
		`"0100007F0:1388" is no address`:        strings.Replace(good, "0100007F", "0100007F0", 1),
		`":1388" is no address`:                 strings.Replace(good, "0100007F", "", 1),
		`"0100007F0100007F:1388" is no address`: strings.Replace(good, "0100007F", "0100007F0100007F", 1),
		`"0x00007F:1388" is no address`:         strings.Replace(good, "0100007F", "0x00007F", 1),
		`"0100007F::1388" is no address`:        strings.Replace(good, "0100007F:", "0100007F::", 1),
		`"+100007F:1388" is no address`:         strings.Replace(good, "0100007F", "+100007F", 1),
		`"0100007F_:1388" is no address`:        strings.Replace(good, "0100007F", "0100007F_", 1),
		`"010_007F:1388" is no address`:         strings.Replace(good, "0100007F", "010_007F", 1),
		`"4294967296" is no user id`:            strings.Replace(good, "  1000 ", " 4294967296 ", 1),
		`"99999999999999999999" is no in`:       strings.Replace(good, "25001", "99999999999999999999", 1),
	} {
		got, err := readTable(t.Context(), strings.NewReader(line), 5000)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v, %v; want %s", line, got, err, want)
		}
	}
}

func TestReadTableWhenContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := readTable(ctx, strings.NewReader(table), 5000); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzReadTable: nothing that the table could hold makes a socket of another
// port, or ends the program.
func FuzzReadTable(f *testing.F) {
	f.Add(table, 5000)
	f.Add(table6, 5000)
	f.Add(":1388 :1388", 5000)
	f.Fuzz(func(t *testing.T, text string, port int) {
		port &= 0xFFFF
		got, err := readTable(t.Context(), strings.NewReader(text), port)
		if err != nil && got != nil {
			t.Errorf("both %v and %v", got, err)
		}
		for _, s := range got {
			if addr := s.local.Addr(); int(s.local.Port()) != port || !addr.IsValid() || addr.Is4In6() || s.state == "" || s.pid != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestSocketInode(t *testing.T) {
	for link, want := range map[string]uint64{
		"socket:[12345]": 12345, "socket:[12345": 0, "socket:[]": 0, "socket:[-1]": 0, "socket:[x]": 0,
		"pipe:[12345]": 0, "/dev/null": 0, "/tmp/socket:[1]": 0, "": 0,
	} {
		if got, ok := socketInode([]byte(link)); got != want || ok != (want != 0) {
			t.Errorf("%s: got %d, %v", link, got, ok)
		}
	}
}

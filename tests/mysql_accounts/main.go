// A server that speaks MySQL 8's protocol, with an account of the plugin caching_sha2_password as MySQL keeps it: the first login is a
// full one, those after it are fast ones. Without TLS the password of a full one comes encrypted by the server's RSA key.
//
//	mysql_accounts SECURE PLAIN CA    listens at the addresses with TLS and without; its authority's certificate goes to the file CA
//
// It prints a word for each login: full, fast or rsa.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"time"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
)

const user, password = "freezer", "s3cret/ö"

// The one account, and whether the server has seen its password.
type account struct {
	known atomic.Bool
	plain *withoutTLS
}

func (a *account) AuthMethods() []mysql.AuthMethod {
	return []mysql.AuthMethod{mysql.NewSha2CachingAuthMethod(a, a, a), a.plain}
}

func (a *account) DefaultAuthMethodDescription() mysql.AuthMethodDescription {
	return mysql.CachingSha2Password
}

func (a *account) HandleUser(name string, _ net.Addr) bool { return name == user }

// What MySQL keeps of a password that it has seen is its hash of the hash.
func (a *account) UserEntryWithCacheHash(_ []*x509.Certificate, salt []byte, _ string, reply []byte, from net.Addr) (mysql.Getter, mysql.CacheState, error) {
	once := sha256.Sum256([]byte(password))
	twice := sha256.Sum256(once[:])
	if a.known.Load() && mysql.VerifyHashedCachingSha2Password(reply, salt, twice[:]) {
		fmt.Println("fast")
		return connected(from), mysql.AuthAccepted, nil
	}
	return nil, mysql.AuthNeedMoreData, nil
}

func (a *account) UserEntryWithPassword(_ []*x509.Certificate, _ string, given string, from net.Addr) (mysql.Getter, error) {
	fmt.Println("full")
	if given != password {
		return nil, denied()
	}
	a.known.Store(true)
	return connected(from), nil
}

func connected(from net.Addr) mysql.Getter {
	host, _, _ := net.SplitHostPort(from.String())
	return sql.MysqlConnectionUser{User: user, Host: host}
}

func denied() error {
	return mysql.NewSQLError(mysql.ERAccessDeniedError, mysql.SSAccessDeniedError, "Access denied for user '%v'", user)
}

// The same plugin where there is no TLS, which the library does not have: a client asks for the key by a 2, and sends the password
// mixed with the salt and encrypted.
type withoutTLS struct {
	account *account
	key     *rsa.PrivateKey
}

func (w *withoutTLS) Name() mysql.AuthMethodDescription { return mysql.CachingSha2Password }
func (w *withoutTLS) HandleUser(c *mysql.Conn, name string) bool {
	return !c.TLSEnabled() && name == user
}
func (w *withoutTLS) AllowClearTextWithoutTLS() bool { return true }

func (w *withoutTLS) AuthPluginData() ([]byte, error) {
	salt, err := mysql.NewSalt()
	return append(salt, 0), err
}

func (w *withoutTLS) HandleAuthPluginData(c *mysql.Conn, name string, salt []byte, reply []byte, from net.Addr) (mysql.Getter, error) {
	salt = salt[:len(salt)-1]
	entry, state, err := w.account.UserEntryWithCacheHash(nil, salt, name, reply, from)
	if err != nil {
		return nil, err
	}
	sequence := byte(2)
	if state == mysql.AuthAccepted {
		return entry, send(c, sequence, []byte{mysql.AuthMoreDataPacket, mysql.CachingSha2FastAuth})
	}
	if err := send(c, sequence, []byte{mysql.AuthMoreDataPacket, mysql.CachingSha2FullAuth}); err != nil {
		return nil, err
	}
	if request, err := receive(c); err != nil || len(request) != 1 || request[0] != 2 {
		return nil, errors.Join(denied(), err)
	}
	fmt.Println("rsa")
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&w.key.PublicKey))})
	if err := send(c, sequence+2, append([]byte{mysql.AuthMoreDataPacket}, public...)); err != nil {
		return nil, err
	}
	encrypted, err := receive(c)
	if err != nil {
		return nil, err
	}
	given, err := rsa.DecryptOAEP(sha1.New(), rand.Reader, w.key, encrypted, nil)
	if err != nil || len(given) == 0 {
		return nil, errors.Join(denied(), err)
	}
	for i := range given {
		given[i] ^= salt[i%len(salt)]
	}
	return w.account.UserEntryWithPassword(nil, name, string(given[:len(given)-1]), from)
}

// Packets have three bytes of length and one that counts them.
func send(c *mysql.Conn, sequence byte, data []byte) error {
	_, err := c.Conn.Write(append([]byte{byte(len(data)), byte(len(data) >> 8), 0, sequence}, data...))
	return err
}

func receive(c *mysql.Conn) ([]byte, error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(c.Conn, header); err != nil {
		return nil, err
	}
	data := make([]byte, int(header[0])|int(header[1])<<8)
	_, err := io.ReadFull(c.Conn, data)
	return data, err
}

// A certificate for 127.0.0.1, of an authority whose certificate goes to the file.
func certificate(file string) tls.Certificate {
	authorityKey, key := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	authority := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true}
	leaf := x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	for _, one := range []*x509.Certificate{&authority, &leaf} {
		one.NotBefore, one.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	ca := must(x509.CreateCertificate(rand.Reader, &authority, &authority, &authorityKey.PublicKey, authorityKey))
	signed := must(x509.CreateCertificate(rand.Reader, &leaf, &authority, &key.PublicKey, authorityKey))
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})
	must(0, os.WriteFile(file, text, 0o644))
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	the := &account{}
	the.plain = &withoutTLS{account: the, key: must(rsa.GenerateKey(rand.Reader, 2048))}
	databases := memory.NewDBProvider(memory.NewDatabase("freezer"))
	engine := sqle.NewDefault(databases)
	serve := func(address string, secure *tls.Config) {
		config := server.Config{Protocol: "tcp", Address: address, Version: "8.0.31", TLSConfig: secure}
		config.ProtocolListenerFactory = func(config server.Config, listener mysql.ListenerConfig, events server.ServerEventListener) (server.ProtocolListener, error) {
			listener.AuthServer = the
			return server.MySQLProtocolListenerFactory(config, listener, events)
		}
		must(0, must(server.NewServer(config, engine, sql.NewContext, memory.NewSessionBuilder(databases), nil)).Start())
	}
	go serve(os.Args[1], &tls.Config{Certificates: []tls.Certificate{certificate(os.Args[3])}})
	serve(os.Args[2], nil)
}

//! What a load speaks: bytes as they are, or under TLS.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
};

use crate::Result;

/// What is read from a socket at once.
const READ_AT_ONCE: usize = 64 * 1024;

/// A connection to a server. Under TLS the first read or write begins the handshake.
#[derive(Debug)]
pub enum Wire<S: Read + Write = TcpStream> {
    /// Without TLS.
    Plain(S),
    /// With it.
    Tls(Box<TlsWire<S>>),
}

/// The client's side of TLS over a socket, which may be non-blocking.
#[derive(Debug)]
pub struct TlsWire<S> {
    socket: BufReader<S>,
    session: ClientConnection,
}

/// TLS 1.3 with X25519 and AES-128-GCM, and any certificate: servers are measured, not trusted.
pub(super) fn client_config(resumes: bool) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption =
        if resumes { Resumption::in_memory_sessions(4096) } else { Resumption::disabled() };
    Ok(Arc::new(config))
}

impl<S: Read + Write> Wire<S> {
    /// Puts TLS on a socket if there is a `config`. Sessions of one `place` are resumed by the same.
    pub(super) fn new(socket: S, config: Option<&Arc<ClientConfig>>, place: usize) -> Result<Self> {
        let Some(config) = config else { return Ok(Self::Plain(socket)) };
        let name = ServerName::try_from(format!("place-{place}.test"))?;
        let session = ClientConnection::new(Arc::clone(config), name)?;
        let socket = BufReader::with_capacity(READ_AT_ONCE, socket);
        Ok(Self::Tls(Box::new(TlsWire { socket, session })))
    }

    /// Says that this side is over, as far as the socket takes it.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let Self::Tls(tls) = self else { return Ok(()) };
        tls.session.send_close_notify();
        tls.send()
    }

    pub(super) fn socket(&mut self) -> &mut S {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.socket.get_mut(),
        }
    }

    pub(super) fn is_established(&self) -> bool {
        matches!(self, Self::Tls(tls) if !tls.session.is_handshaking())
    }

    pub(super) fn is_resumed(&self) -> bool {
        let Self::Tls(tls) = self else { return false };
        tls.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl<S: Read + Write> Read for Wire<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl<S: Read + Write> Write for Wire<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(data),
            Self::Tls(tls) => tls.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => match tls.send() {
                // What waits goes out with the next event.
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                outcome => outcome,
            },
        }
    }
}

impl<S: Read + Write> TlsWire<S> {
    /// As much as the socket has: less than fits means that it is empty.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            match self.session.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(filled),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if filled == buffer.len() {
                return Ok(filled);
            }
            match self.session.read_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && filled > 0 => {
                    return Ok(filled);
                }
                Err(error) => return Err(error),
            }
            self.session.process_new_packets().map_err(io::Error::other)?;
            if self.session.wants_write() {
                match self.send() {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
            }
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send()?;
        let count = self.session.writer().write(data)?;
        if count == 0 && !data.is_empty() {
            // Before the handshake is done there is room for so much only.
            self.send()?;
            return Err(ErrorKind::WouldBlock.into());
        }
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(self.socket.get_mut())?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

//! The authorities whose signatures are trusted.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use super::pem::PemSource;
use crate::error::{Error, Kind};

/// Whose signatures a client trusts.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    #[cfg(feature = "tls-platform-roots")]
    pub(super) platform: bool,
    #[cfg(feature = "tls-webpki-roots")]
    pub(super) webpki: bool,
    pub(super) authorities: Vec<PemSource>,
}

impl Roots {
    /// Those of a client for which nothing was chosen: the operating system's or none, whatever else is
    /// turned on.
    pub(super) fn default_ones() -> Result<Self, Error> {
        #[cfg(feature = "tls-platform-roots")]
        return Ok(Self { platform: true, ..Self::default() });
        #[cfg(not(feature = "tls-platform-roots"))]
        Err(Error::new(
            Kind::Unsupported,
            "no authority to trust: give a CA file or a pin, say `webpki_roots`, \
             or turn on wharf's feature `tls-platform-roots`",
        ))
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self { authorities, .. } = self;
        #[cfg(feature = "tls-platform-roots")]
        if self.platform {
            return false;
        }
        #[cfg(feature = "tls-webpki-roots")]
        if self.webpki {
            return false;
        }
        authorities.is_empty()
    }

    /// What checks a server's chain and name.
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        #[cfg(feature = "tls-platform-roots")]
        if self.platform {
            return self.platform_verifier(provider);
        }
        let store = store_of(&read(&self.authorities)?)?;
        #[cfg(feature = "tls-webpki-roots")]
        let store = if self.webpki { with_webpki_roots(store) } else { store };
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
            .build()
            .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
            .map_err(|error| Error::with_source(Kind::Invalid, "no authority to trust", error))
    }

    #[cfg(feature = "tls-platform-roots")]
    fn platform_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        use rustls_platform_verifier::Verifier;

        #[cfg(feature = "tls-webpki-roots")]
        if self.webpki {
            let text = "the platform's roots and Mozilla's cannot be trusted together: choose one";
            return Err(Error::invalid(text));
        }
        let failed = |error| {
            let text = "the roots of the operating system cannot be used";
            Error::with_source(Kind::Unsupported, text, error)
        };
        let verifier = if self.authorities.is_empty() {
            Verifier::new(Arc::clone(provider)).map_err(failed)?
        } else {
            #[cfg(target_os = "android")]
            return Err(Error::new(
                Kind::Unsupported,
                "Android's roots cannot be trusted together with others",
            ));
            #[cfg(not(target_os = "android"))]
            {
                let extra = read(&self.authorities)?;
                // Checks each file by itself, so that an error names it.
                drop(store_of(&extra)?);
                let extra = extra.into_iter().flat_map(|(_, certificates)| certificates);
                Verifier::new_with_extra_roots(extra, Arc::clone(provider)).map_err(failed)?
            }
        };
        Ok(Arc::new(verifier))
    }
}

/// Sources, and the certificates of each.
pub(super) type Read<'a> = Vec<(&'a PemSource, Vec<CertificateDer<'static>>)>;

pub(super) fn read(sources: &[PemSource]) -> Result<Read<'_>, Error> {
    sources.iter().map(|source| Ok((source, source.read()?.certificates()?))).collect()
}

#[cfg(feature = "tls-webpki-roots")]
fn with_webpki_roots(mut store: RootCertStore) -> RootCertStore {
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    store
}

/// A store of all that can be used. Old bundles hold roots that cannot (X.509 v1), which are passed
/// over; a source without a single usable one is an error.
pub(super) fn store_of(read: &Read<'_>) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for (source, certificates) in read {
        let mut last_error = None;
        let mut usable = 0;
        for certificate in certificates {
            match store.add(certificate.clone()) {
                Ok(()) => usable += 1,
                Err(error) => last_error = Some(error),
            }
        }
        if let (0, Some(error)) = (usable, last_error) {
            let text = format!("{source} holds no certificate of an authority that can be used");
            return Err(Error::with_source(Kind::Invalid, text, error));
        }
    }
    Ok(store)
}

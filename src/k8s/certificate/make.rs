//! Making and reading certificates.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// How far the clocks of API servers may be behind ours.
const BACKDATED: Duration = Duration::from_secs(3_600);
/// Bits of a serial number.
const SERIAL_BITS: i32 = 127;

/// A certificate with its key, ready to be served.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// PEM, the chain if there is one.
    pub certificate: String,
    /// PEM.
    pub key: String,
    /// PEM of the authority that signed it; empty if somebody else sees to who trusts it.
    pub authority: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Makes an authority and a certificate that it signs, both valid for `valid` from now on.
pub(in crate::k8s) fn make(
    names: &[String],
    now: SystemTime,
    valid: Duration,
) -> Result<Identity, ErrorStack> {
    let authority_key = new_key()?;
    let authority_name = name_of("ackline injector authority")?;
    let mut builder = begin(&authority_name, &authority_name, &authority_key, now, valid)?;
    builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
    builder.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(identifier)?;
    builder.sign(&authority_key, MessageDigest::sha256())?;
    let authority = builder.build();

    let key = new_key()?;
    let subject = name_of("ackline injector")?;
    let mut builder = begin(&subject, &authority_name, &key, now, valid)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let mut alternatives = SubjectAlternativeName::new();
    for name in names {
        match name.parse::<std::net::IpAddr>() {
            Ok(_) => alternatives.ip(name),
            Err(_) => alternatives.dns(name),
        };
    }
    let (alternatives, issuer) = {
        let context = builder.x509v3_context(Some(&authority), None);
        let issuer = AuthorityKeyIdentifier::new().keyid(false).build(&context)?;
        (alternatives.build(&context)?, issuer)
    };
    builder.append_extension(alternatives)?;
    builder.append_extension(issuer)?;
    builder.sign(&authority_key, MessageDigest::sha256())?;
    Ok(Identity {
        certificate: pem(builder.build().to_pem()?),
        key: pem(key.private_key_to_pem_pkcs8()?),
        authority: pem(authority.to_pem()?),
    })
}

impl Identity {
    /// Until when it is valid.
    ///
    /// # Errors
    ///
    /// If it is no certificate.
    pub fn expires(&self) -> Result<SystemTime, ErrorStack> {
        let certificate = X509::from_pem(self.certificate.as_bytes())?;
        let epoch = Asn1Time::from_unix(0)?;
        let since = epoch.diff(certificate.not_after())?;
        let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
        Ok(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// What serves it.
    ///
    /// # Errors
    ///
    /// If it is not a certificate with its own key.
    pub fn acceptor(&self) -> Result<SslAcceptor, ErrorStack> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        let mut chain = X509::stack_from_pem(self.certificate.as_bytes())?.into_iter();
        if let Some(certificate) = chain.next() {
            builder.set_certificate(&certificate)?;
        }
        for more in chain {
            builder.add_extra_chain_cert(more)?;
        }
        let key = PKey::private_key_from_pem(self.key.as_bytes())?;
        builder.set_private_key(&key)?;
        builder.check_private_key()?;
        Ok(builder.build())
    }
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

fn name_of(common: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, common)?;
    Ok(builder.build())
}

fn begin(
    subject: &X509Name,
    issuer: &X509Name,
    key: &PKey<Private>,
    now: SystemTime,
    valid: Duration,
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::ONE, false)?;
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?; // which is called 3
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::from_unix(unix(now) - unix_of(BACKDATED))?)?;
    builder.set_not_after(&*Asn1Time::from_unix(unix(now) + unix_of(valid))?)?;
    Ok(builder)
}

fn unix(time: SystemTime) -> i64 {
    unix_of(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn unix_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// PEM is ASCII.
fn pem(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

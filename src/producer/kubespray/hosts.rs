//! The hosts of an inventory as a template sees them: each with its own variables, and the others as `hostvars`. Owns who sees
//! whom; does not know what a variable is for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

use crate::name::Arch;
use crate::producer::kubespray::facts;
use crate::producer::kubespray::release::Release;
use crate::producer::kubespray::scope::{Scope, Stack};

/// All hosts, if they are machines of one architecture.
pub(super) struct Hosts(Arc<Shared>);

struct Shared {
    release: Release,
    arch: Arch,
    /// Ansible's variable `groups`.
    groups: Value,
    /// What is being rendered, for whichever host.
    stack: Stack,
    scopes: Mutex<BTreeMap<String, Scope>>,
}

impl Hosts {
    pub(super) fn new(release: &Release, arch: Arch) -> Self {
        let (release, groups) = (release.clone(), facts::groups(&release.inventory));
        Self(Arc::new(Shared { release, arch, groups, stack: Stack::default(), scopes: Mutex::default() }))
    }

    /// The variables of the host that stands for all.
    pub(super) fn first(&self) -> Scope {
        self.scope(self.0.release.inventory.first())
    }

    /// The variables of a host.
    pub(super) fn scope(&self, host: &str) -> Scope {
        scope(&self.0, host)
    }

    /// Lets go of what was made for a host, of which there may be thousands.
    pub(super) fn forget(&self, host: &str) {
        self.0.scopes.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }
}

fn scope(shared: &Arc<Shared>, host: &str) -> Scope {
    let Shared { release, arch, groups, stack, scopes } = &**shared;
    let mut scopes = scopes.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || {
        let others = Value::from_object(HostVars(Arc::downgrade(shared)));
        let facts = facts::of(*arch, &release.inventory, host, (groups.clone(), others));
        Scope::new(host, release.variables(host), facts, stack)
    };
    scopes.entry(host.to_owned()).or_insert_with(new).clone()
}

/// `hostvars`. It does not keep the hosts: they keep what was rendered of it.
struct HostVars(Weak<Shared>);

impl fmt::Debug for HostVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hostvars")
    }
}

impl Object for HostVars {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (shared, host) = (self.0.upgrade()?, key.as_str()?);
        shared.release.inventory.has(host).then(|| scope(&shared, host).root())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let hosts = self.0.upgrade().map(|shared| shared.release.inventory.hosts().map(Value::from).collect());
        Enumerator::Values(hosts.unwrap_or_default())
    }
}

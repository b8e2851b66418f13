"""Files whose reading gives away the host's secrets, and files whose writing makes somebody else run something.

Reading or writing one of them is of class `shell`: who may do that may do anything. The lists are short and about what
every Linux host has; the operator's policy names the rest (`deny: [get_file read /srv/vault]`). Sources: hier(7),
proc(5), sshd(8) FILES, sudoers(5), crontab(5), systemd.unit(5), ld.so(8), pam.conf(5), bash(1) FILES.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# `*` is any part of a name, `**` any number of folders; what stands below a match counts, too.
_READ: Final = (
    *("/etc/shadow*", "/etc/gshadow*", "/etc/security/opasswd", "/var/backups/shadow*", "/var/backups/gshadow*"),
    *("/etc/ssh/*_key", "/etc/ssl/private", "/etc/pki/tls/private", "/etc/krb5.keytab", "/etc/sudoers*"),
    *("/**/.ssh/id_*", "/**/.ssh/identity", "/**/.ssh/*_key", "/**/.ssh/*.pem", "/**/.gnupg"),
    *("/**/.netrc", "/**/.pgpass", "/**/.my.cnf", "/**/.git-credentials", "/**/.vault-token", "/**/.aws/credentials"),
    *("/proc/*/environ", "/proc/*/mem", "/proc/*/auxv", "/proc/*/stack", "/proc/*/syscall", "/proc/*/maps"),
    *("/proc/*/smaps", "/proc/*/pagemap", "/proc/*/map_files", "/proc/*/fd", "/proc/*/root", "/proc/*/cwd"),
    *("/proc/*/exe", "/proc/*/task", "/proc/kcore", "/proc/kmsg", "/proc/keys", "/dev", "/sys/kernel/debug"),
    *("/**/.docker/config.json", "/**/.kube", "/**/.config/gcloud", "/**/.azure", "/etc/kubernetes/*.conf"),
    *("/etc/wireguard", "/**/.password-store", "/**/.config/gh", "/etc/ppp/*-secrets"),
    *("/sys/firmware/efi/efivars", "/var/lib/sss/secrets", "/var/lib/sudo", "/run/credentials"),
)
_WRITTEN: Final = (
    *("/etc/sudoers*", "/etc/passwd*", "/etc/group*", "/etc/shadow*", "/etc/gshadow*", "/etc/doas.conf", "/etc/subuid"),
    *("/etc/security", "/etc/pam.d", "/etc/pam.conf", "/etc/polkit-1", "/etc/login.defs", "/etc/shells", "/etc/subgid"),
    *("/etc/ssh", "/**/.ssh", "/etc/ld.so*", "/etc/nsswitch.conf", "/etc/cron*", "/etc/anacrontab", "/etc/at.*"),
    *("/var/spool/cron", "/var/spool/at", "/etc/systemd", "/run/systemd", "/usr/lib/systemd", "/usr/local/lib/systemd"),
    *("/lib/systemd", "/**/.config/systemd", "/etc/init.d", "/etc/rc*", "/etc/inittab", "/etc/udev", "/etc/modprobe.d"),
    *("/etc/modules*", "/etc/profile*", "/etc/bash*", "/etc/zsh*", "/etc/environment*", "/etc/csh*", "/etc/skel"),
    *("/**/.bashrc", "/**/.bash_*", "/**/.profile", "/**/.zshrc", "/**/.zshenv", "/**/.zprofile", "/**/.zlogin"),
    *("/**/.cshrc", "/**/.kshrc", "/**/.tcshrc", "/**/.login", "/**/.pam_environment", "/**/.config/fish"),
    *("/**/.gitconfig", "/**/.config/git", "/**/.vimrc", "/**/.config/environment.d", "/etc/update-motd.d"),
    *("/etc/logrotate*", "/etc/apt", "/etc/dpkg", "/etc/yum*", "/etc/dnf", "/etc/sysctl*", "/etc/fstab"),
    *("/etc/NetworkManager/dispatcher.d", "/etc/networkd-dispatcher", "/etc/network", "/etc/dhcp", "/etc/xinetd*"),
    *("/etc/inetd.conf", "/etc/crypttab", "/usr/share/dbus-1", "/etc/dbus-1", "/etc/alternatives"),
    *("/etc/exports*", "/etc/krb5*", "/etc/ca-certificates*", "/etc/pki", "/etc/ssl", "/etc/gss"),
    *("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/lib", "/lib32", "/lib64"),
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/local/lib", "/usr/share/bash-completion"),
    *("/proc", "/sys", "/dev", "/boot", "/efi", "/**/.config/autostart", "/etc/xdg/autostart"),
    # what root's shells read, what sudo loads, who is let in, what is run when mail or a message comes
    *("/etc/sudo.conf", "/etc/sudo_*", "/etc/default", "/etc/sysconfig", "/etc/tmpfiles.d", "/etc/sysusers.d"),
    *("/etc/hosts.equiv", "/etc/shosts.equiv", "/etc/hosts.allow", "/**/.rhosts", "/**/.shosts", "/**/.k5login"),
    *("/**/.forward", "/etc/aliases", "/etc/mailcap", "/**/.mailcap", "/etc/kernel", "/etc/grub.d", "/etc/binfmt.d"),
    *("/etc/initramfs-tools", "/etc/X11", "/etc/acpi", "/etc/ppp", "/etc/incron*", "/etc/docker", "/etc/containers"),
    *("/**/.xinitrc", "/**/.xsession*", "/**/.xprofile", "/**/.inputrc", "/**/.tmux.conf", "/**/.screenrc"),
    *("/**/.local/bin", "/**/.local/lib", "/**/bin/activate", "/etc/vim", "/etc/inputrc", "/etc/tmux.conf"),
)
_HARMLESS: Final = re.compile(r"/(?:[^/]+/)*\.ssh/[^/]*\.pub")  # public keys may be read


def _compiled(entries: Sequence[str]) -> re.Pattern[str]:
    def spelled(entry: str) -> str:
        parts = re.split(r"(/\*\*/|\*)", entry)
        words = {"/**/": "/(?:[^/]+/)*", "*": "[^/]*"}
        return "".join(words.get(part) or re.escape(part) for part in parts)

    return re.compile(f"(?:{'|'.join(map(spelled, entries))})(?:/.*)?", re.DOTALL)


_READING, _WRITING = _compiled(_READ), _compiled(_WRITTEN)


def protected(path: str, *, writing: bool) -> bool:
    """Whether an absolute path without `..` is one of them. Ask for the path as it was said, and for the real one."""
    if writing:
        return _WRITING.fullmatch(path) is not None
    return _READING.fullmatch(path) is not None and _HARMLESS.fullmatch(path) is None

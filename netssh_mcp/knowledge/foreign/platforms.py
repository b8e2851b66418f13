"""The names that other tools have for platforms, as names of ours.

Sources: NAPALM's driver names; the platform index of Ansible's network guide and the collections' own names;
containerlab's kinds with the user and password that it documents for each (docs/manual/kinds).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_COMMON: Final = {
    "ios": "cisco_ios",
    "iosxe": "cisco_xe",
    "ios_xe": "cisco_xe",
    "cisco_iosxe": "cisco_xe",
    "iosxr": "cisco_xr",
    "ios_xr": "cisco_xr",
    "cisco_iosxr": "cisco_xr",
    "nxos": "cisco_nxos",
    "nx_os": "cisco_nxos",
    "nxos_ssh": "cisco_nxos",
    "cisco_nx_os": "cisco_nxos",
    "cisco_ios_xe": "cisco_xe",
    "cisco_ios_xr": "cisco_xr",
    "asa": "cisco_asa",
    "eos": "arista_eos",
    "junos": "juniper_junos",
    "vyos": "vyos",
    "os6": "dell_os6",
    "os9": "dell_os9",
    "os10": "dell_os10",
    "srlinux": "nokia_srlinux",
    "sros": "nokia_sros",
    "panos": "paloalto_panos",
    "pan_os": "paloalto_panos",
    "fortios": "fortinet",
    "fortinet_fortios": "fortinet",
    "routeros": "mikrotik_routeros",
    "aoscx": "aruba_aoscx",
    "aos_cx": "aruba_aoscx",
    "comware": "hp_comware",
    "vrp": "huawei_vrp",
    "ce": "huawei_vrpv8",
    "exos": "extreme_exos",
    "slxos": "extreme_slx",
    "voss": "extreme_vsp",
    "ironware": "extreme_netiron",
    "icx": "ruckus_fastiron",
    "edgeos": "ubiquiti_edgerouter",
    "edgeswitch": "ubiquiti_edgeswitch",
    "cumulus": "cumulus_linux",
    "ubuntu_linux": "linux",
    "debian_linux": "linux",
    "rhel": "linux",
    "centos": "linux",
    "rocky": "linux",
    "alma": "linux",
    "sonic": "linux",
}

ANSIBLE: Final = {
    "nokia.sros.md": "nokia_sros",
    "nokia.sros.classic": "nokia_sros",
    "nokia.sros.light": "nokia_sros",
    "ciena.saos6.saos6": "ciena_saos",
    "ansible.netcommon.default": "generic",
}

# A maker whose devices that log in by SSH are of one platform, by NetBox's slug.
MAKERS: Final = {
    "arista": "arista_eos",
    "arista-networks": "arista_eos",
    "juniper": "juniper_junos",
    "juniper-networks": "juniper_junos",
    "mikrotik": "mikrotik_routeros",
    "fortinet": "fortinet",
    "palo-alto": "paloalto_panos",
    "palo-alto-networks": "paloalto_panos",
    "vyos": "vyos",
}

# kind -> platform, user and password as containerlab documents them ("" has none).
KINDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "nokia_srlinux": ("nokia_srlinux", "admin", "NokiaSrl1!"),
    "nokia_sros": ("nokia_sros", "admin", "admin"),
    "nokia_srsim": ("nokia_sros", "admin", "NokiaSros1!"),
    "arista_ceos": ("arista_eos", "admin", "admin"),
    "arista_veos": ("arista_eos", "admin", "admin"),
    "juniper_crpd": ("juniper_junos", "root", "clab123"),
    "juniper_csrx": ("juniper_junos", "root", "clab123"),
    "juniper_vmx": ("juniper_junos", "admin", "admin@123"),
    "juniper_vqfx": ("juniper_junos", "admin", "admin@123"),
    "juniper_vsrx": ("juniper_junos", "admin", "admin@123"),
    "juniper_vjunosrouter": ("juniper_junos", "admin", "admin@123"),
    "juniper_vjunosswitch": ("juniper_junos", "admin", "admin@123"),
    "juniper_vjunosevolved": ("juniper_junos", "admin", "admin@123"),
    "juniper_cjunosevolved": ("juniper_junos", "admin", "admin@123"),
    "cisco_xrd": ("cisco_xr", "clab", "clab@123"),
    "cisco_xrd_vrouter": ("cisco_xr", "clab", "clab@123"),
    "cisco_xrv": ("cisco_xr", "clab", "clab@123"),
    "cisco_xrv9k": ("cisco_xr", "clab", "clab@123"),
    "cisco_c8000": ("cisco_xr", "cisco", "cisco123"),
    "cisco_csr1000v": ("cisco_xe", "admin", "admin"),
    "cisco_c8000v": ("cisco_xe", "admin", "admin"),
    "cisco_cat9kv": ("cisco_xe", "admin", "admin"),
    "cisco_iol": ("cisco_ios", "admin", "admin"),
    "cisco_vios": ("cisco_ios", "admin", "admin"),
    "cisco_n9kv": ("cisco_nxos", "admin", "admin"),
    "cisco_asav": ("cisco_asa", "admin", "CiscoAsa1!"),
    "cisco_ftdv": ("cisco_ftd", "admin", "Admin@123"),
    "cisco_sdwan": ("cisco_viptela", "admin", "admin"),
    "nvidia_cumulusvx": ("cumulus_linux", "cumulus", "Clab123!"),
    "aruba_aoscx": ("aruba_aoscx", "admin", "admin"),
    "dell_ftosv": ("dell_os10", "admin", "admin"),
    "dell_sonic": ("dell_sonic", "admin", "admin"),
    "sonic-vm": ("linux", "admin", "admin"),
    "mikrotik_ros": ("mikrotik_routeros", "admin", "admin"),
    "huawei_vrp": ("huawei_vrp", "admin", "admin"),
    "ipinfusion_ocnos": ("ipinfusion_ocnos", "admin", "admin@123"),
    "paloalto_panos": ("paloalto_panos", "admin", "Admin@123"),
    "fortinet_fortigate": ("fortinet", "admin", "admin"),
    "checkpoint_cloudguard": ("checkpoint_gaia", "admin", "admin"),
    "ciena_saos": ("ciena_saos10", "diag", "ciena123"),
    "6wind_vsr": ("sixwind_os", "admin", "admin"),
    "vyosnetworks_vyos": ("vyos", "admin", "admin"),
    "generic_vm": ("linux", "clab", "clab@123"),
    "linux": ("linux", "root", ""),
    "frr": ("frr", "root", ""),
}

_OLD_KINDS: Final = {
    "srl": "nokia_srlinux",
    "ceos": "arista_ceos",
    "crpd": "juniper_crpd",
    "xrd": "cisco_xrd",
    "c8000": "cisco_c8000",
    "cjunosevolved": "juniper_cjunosevolved",
    "sros": "nokia_sros",
    "veos": "arista_veos",
    "vmx": "juniper_vmx",
    "vqfx": "juniper_vqfx",
    "vsrx": "juniper_vsrx",
    "xrv": "cisco_xrv",
    "xrv9k": "cisco_xrv9k",
    "csr": "cisco_csr1000v",
    "n9kv": "cisco_n9kv",
    "ftosv": "dell_ftosv",
    "ros": "mikrotik_ros",
    "pan": "paloalto_panos",
    "aoscx": "aruba_aoscx",
}


def kind(written: str) -> str:
    """A kind by its present name; containerlab takes older ones too."""
    short = written.removeprefix("vr-")
    return _OLD_KINDS.get(short, short)


def found(written: str, known: Mapping[str, str], *, dotted: bool = False) -> str:
    """Our platform for another tool's name, "" when there is none. Netmiko's `..._ssh` is the type itself.

    `dotted` names are Ansible's collections: cisco.ios.ios.
    """
    name = written.strip().lower()
    if dotted:
        name = ANSIBLE.get(name, name.rpartition(".")[2])
    plain = name.replace("-", "_").replace(" ", "_")
    tries = (name, plain, plain.removesuffix("_ssh"))
    candidates = [candidate for each in tries for candidate in (_COMMON.get(each, ""), each)]
    return next((known[each] for each in candidates if each in known and each != "autodetect"), "")

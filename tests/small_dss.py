"""A small feeder in OpenDSS with every kind of element that the reader takes."""

from __future__ import annotations

from pathlib import Path

MASTER = """
clear
new circuit.small basekv=115 bus1=source pu=1.02 r1=0 x1=0.0001 r0=0 x0=0.0001
new reactor.up bus1=source bus2=hv r=0.5 x=5
new transformer.sub phases=3 windings=2 buses=(hv mv0) conns=(delta wye) kvs=(115 12.47)
~ kvas=(10000 10000) xhl=8 %r=0.5
new transformer.rega phases=1 windings=2 bank=reg buses=(mv0.1 mv.1) kvs=(7.2 7.2) kvas=(3000 3000) xhl=.01 %loadloss=.001
new transformer.regb like=rega bank=reg buses=(mv0.2 mv.2)
new transformer.regc like=rega bank=reg buses=(mv0.3 mv.3)
new regcontrol.ca transformer=rega winding=2 vreg=124 band=2 ptratio=60
new regcontrol.cb transformer=regb winding=2 vreg=122 band=2 ptratio=60
redirect Parts/Lines.DSS
new load.wye bus1=b.1.2.3 phases=3 kv=12.47 kw=900 kvar=300 model=1
new load.delta bus1=b.1.2.3 phases=3 conn=delta kv=12.47 kw=300 kvar=100 model=2
new load.ab bus1=b.1.2 phases=1 conn=delta kv=12.47 kw=200 kvar=50 model=5
new load.zip bus1=c.3 phases=1 kv=7.2 kw=150 kvar=40 model=8 zipv=(0.3 0.3 0.4 0.5 0.2 0.3 0)
new load.three bus1=c.3 phases=1 kv=7.2 kw=50 kvar=20 model=3
new capacitor.bank bus1=b kvar=300 kv=12.47 phases=3
new capacitor.one bus1=c.3 kvar=50 kv=7.2 phases=1
new transformer.service phases=1 windings=3 buses=(c.3 s.1.0 s.0.2) kvs=(7.2 .12 .12)
~ kvas=(50 50 50) %rs=(0.6 1.2 1.2) xhl=2.04 xht=2.04 xlt=1.36 %imag=0.5 %noloadloss=0.2
new line.triplex bus1=s.1.2 bus2=house.1.2 phases=2 length=.02 units=km rmatrix=(0.4 | 0.1 0.4)
~ xmatrix=(0.17 | 0.12 0.17) cmatrix=(0 | 0 0)
new load.leg bus1=house.1 phases=1 kv=.12 kw=6 kvar=1 vminpu=.8
new load.both bus1=house.1.2 phases=1 conn=delta kv=.24 kw=8 kvar=2 vminpu=.8
new transformer.mill phases=3 windings=2 buses=(b mill) conns=(delta delta) kvs=(12.47 .48) kvas=(500 500) xhl=4
new load.mill bus1=mill phases=3 conn=delta kv=.48 kw=120 kvar=60
new generator.gen bus1=b phases=3 kv=12.47 kw=100 kvar=20 model=1 minkvar=-30 maxkvar=30
new pvsystem.roof bus1=c.3 phases=1 kv=7.2 kva=60 pmpp=50 irradiance=1 pf=1
new storage.store bus1=b phases=3 kv=12.47 kwrated=80 kwhrated=200 kw=40 state=discharging
set voltagebases=(115 12.47 .48 .208)
calcvoltagebases
buscoords coords.csv
"""
LINES = """
new line.ab bus1=mv bus2=b length=3 units=km r1=0.3 x1=0.4 r0=0.6 x0=1.1 c1=9 c0=4 normamps=300
new line.bc bus1=b.3 bus2=c.3 phases=1 length=2 units=km r1=0.6 x1=0.5 normamps=150
new line.tie bus1=mv.3 bus2=c.3 phases=1 switch=y enabled=no
new line.far bus1=far1.1 bus2=far2.1 phases=1 length=1 r1=1 x1=1
"""


def write_small(folder: Path, master: str = MASTER, lines: str = LINES) -> Path:
    """The feeder's files, their names in other letters than its scripts spell them."""
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    (folder / "parts" / "lines.dss").write_text(lines, encoding="utf-8")
    (folder / "Coords.csv").write_text("source,0,0\nmv,1,0\nb,2,0\nc,3,1\n", encoding="utf-8")
    path = folder / "Master.dss"
    path.write_text(master, encoding="utf-8")
    return path


ODD = """
clear
new circuit.odd basekv=12.47 bus1=a0 pu=1.03 r1=0 x1=0.0001 r0=0 x0=0.0001
new line.turned bus1=a1 bus2=a0 length=2 units=km r1=0.3 x1=0.4 r0=0.6 x0=1.1 c1=9 c0=4
new line.crossed bus1=a1.1.2.3 bus2=a2.2.3.1 length=1 units=km r1=0.3 x1=0.4 r0=0.6 x0=1.1 c1=9 c0=4
new line.one bus1=a2.3 bus2=a3.3 phases=3 switch=y r1=1 x1=1 r0=1 x0=1 c1=1 c0=1 length=0.001
new line.far bus1=a3.3 bus2=a4.3 phases=1 length=1 units=km r1=0.6 x1=0.5 c1=0
new transformer.back phases=3 windings=2 buses=(low a2) conns=(wye wye) kvs=(4.16 12.47) kvas=(1000 1000)
~ xhl=5 %loadloss=1 %noloadloss=0.3 %imag=0.6 wdg=1 tap=1.025
new transformer.across phases=1 windings=2 buses=(a1.1.2 x.1) conns=(delta wye) kvs=(12.47 .24) kvas=(100 100) xhl=3
new transformer.across3 phases=1 windings=3 buses=(a1.3.1 y.1.0 y.0.2) conns=(delta wye wye)
~ kvs=(12.47 .12 .12) kvas=(50 50 50) %rs=(0.6 1.2 1.2) xhl=2.04 xht=2.04 xlt=1.36
new transformer.unity phases=3 windings=2 buses=(low tiny) conns=(delta wye) kvs=(4.16 .48) kvas=(300 300) xhl=4 leadlag=lead
new capacitor.delta bus1=a1 phases=3 kvar=200 kv=12.47 conn=delta
new reactor.shunt bus1=a1 phases=3 kv=12.47 kvar=100
new transformer.mill phases=3 windings=2 buses=(low mill) conns=(delta delta) kvs=(4.16 .48) kvas=(200 200)
~ xhl=4 %noloadloss=0.5 %imag=1
new load.mill bus1=mill phases=3 conn=delta kv=.48 kw=60 kvar=30
new load.low bus1=low phases=3 kv=4.16 kw=300 kvar=100
new load.tiny bus1=tiny phases=3 kv=.48 kw=60 kvar=20 model=2
new load.tiny1 bus1=tiny.2 phases=1 kv=.277 kw=20 kvar=5
new load.a4 bus1=a4.3 phases=1 kv=7.2 kw=100 kvar=30
new load.x bus1=x.1 phases=1 kv=.24 kw=30 kvar=10
new load.y bus1=y.1.2 phases=2 kv=.208 kw=20 kvar=5
set voltagebases=(12.47 4.16 .48 .416 .208)
calcvoltagebases
"""
"""Lines and transformers from their far end, phases crossed, windings between phases."""

"""The list of places that hold personal data is complete: whoever adds a column of text must say what it holds."""

from conftest import House

from ticketry.erasure.places import BY_HAND, IMPERSONAL, PLACES, SQL_TYPES

FOREIGN = ("_yoyo", "yoyo_")
"""The records of migrations."""
LISTED = {f"{place.table}.{name}" for place in PLACES for name in place.columns}


def columns(house: House) -> dict[str, str]:
    """Every column that can hold words, with its type. Ids, figures, instants and words of a fixed set cannot."""
    rows = house.sql(
        """SELECT c.relname || '.' || a.attname, format_type(a.atttypid, NULL)
           FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           JOIN pg_type t ON t.oid = a.atttypid
           LEFT JOIN pg_type inner_type ON inner_type.oid = nullif(t.typelem, 0)
           WHERE c.relkind IN ('r', 'p', 'm') AND c.relnamespace NOT IN
                 ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
             AND t.typname <> 'identifier'
             AND coalesce(inner_type.typcategory, t.typcategory) NOT IN ('B', 'N', 'D', 'T', 'E')"""
    )
    return {name: kind for name, kind in rows if not name.startswith(FOREIGN)}


def test_every_column_of_text_is_listed(house: House) -> None:
    found = columns(house)
    assert len(found) > 100
    known = LISTED | BY_HAND.keys() | IMPERSONAL.keys()
    missing = found.keys() - known - {name for name, kind in found.items() if kind in {"xid8"}}
    assert not missing, f"ticketry/erasure/places.py does not say whether these hold personal data: {sorted(missing)}"


def test_nothing_is_listed_twice_or_without_being_there(house: House) -> None:
    assert not LISTED & BY_HAND.keys()
    assert not LISTED & IMPERSONAL.keys()
    assert not BY_HAND.keys() & IMPERSONAL.keys()
    there = {row[0] for row in house.sql("SELECT table_name || '.' || column_name FROM information_schema.columns")}
    assert (LISTED | BY_HAND.keys() | IMPERSONAL.keys()) <= there
    assert all(len(reason) >= 5 for reason in (*BY_HAND.values(), *IMPERSONAL.values()))


def test_types_and_keys_are_those_of_the_table(house: House) -> None:
    for place in PLACES:
        kinds = dict(
            house.sql(
                """SELECT attname, format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL)
                   FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                   WHERE attrelid = %s::regclass AND attnum > 0""",
                (place.table,),
            )
        )
        for name, rule in place.columns.items():
            assert kinds[name] == SQL_TYPES.get(rule, "text"), (place.table, name)
        key = house.sql(
            """SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a
               ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
               WHERE i.indrelid = %s::regclass AND indisprimary""",
            (place.table,),
        )[0][0]
        assert set(key) == {"workspace_id", *place.key}

-- Whether a content is what its SHA-256 says. A text lies there as zlib packed it, and PostgreSQL unpacks no zlib: these
-- functions do, as RFC 1950 and 1951 say and in the manner of zlib's contrib/puff.
CREATE OR REPLACE FUNCTION hh_codes(lengths integer[]) RETURNS integer[] LANGUAGE plpgsql IMMUTABLE
SET search_path FROM CURRENT AS $$
DECLARE
  counts integer[] := array_fill(0, ARRAY[16]);
  places integer[] := array_fill(0, ARRAY[17]);
  symbols integer[] := array_fill(0, ARRAY[cardinality(lengths)]);
  n integer;
BEGIN
  FOREACH n IN ARRAY lengths LOOP
    counts[n + 1] := counts[n + 1] + 1;
  END LOOP;
  counts[1] := 0;
  FOR n IN 1..15 LOOP
    places[n + 1] := places[n] + counts[n];
  END LOOP;
  FOR i IN 1..cardinality(lengths) LOOP
    n := lengths[i];
    IF n > 0 THEN
      places[n + 1] := places[n + 1] + 1;
      symbols[places[n + 1]] := i - 1;
    END IF;
  END LOOP;
  RETURN counts || symbols;
END
$$;
COMMENT ON FUNCTION hh_codes IS 'A Huffman code: how many words of each length from 0 to 15 it has, then its symbols.';
CREATE OR REPLACE FUNCTION hh_inflated(packed bytea, most integer) RETURNS bytea LANGUAGE plpgsql IMMUTABLE
SET search_path FROM CURRENT AS $$
DECLARE
  bits bigint := 0; -- that were read and are not used yet, the next one lowest
  n_bits integer := 0;
  place integer := 2; -- in what is packed, after the two bytes of zlib
  past bytea := '';
  -- What is copied from, with some room: each byte that is set copies all of it.
  room bytea := decode(repeat('00', least(most, 49152) + 16642), 'hex');
  size integer := 0; -- bytes of it in use
  is_last boolean := false;
  kind integer;
  literals integer[];
  distances integer[];
  code integer[];
  lengths integer[];
  symbol integer;
  word integer;
  first integer;
  before integer;
  n integer;
  again integer;
  distance integer;
  piece bytea;
  n_literals integer;
  n_all integer;
  -- RFC 1951, 3.2.5 and 3.2.7
  length_order CONSTANT integer[] := '{16,17,18,0,8,7,9,6,10,5,11,4,12,3,13,2,14,1,15}';
  length_base CONSTANT integer[] :=
    '{3,4,5,6,7,8,9,10,11,13,15,17,19,23,27,31,35,43,51,59,67,83,99,115,131,163,195,227,258}';
  length_bits CONSTANT integer[] := '{0,0,0,0,0,0,0,0,1,1,1,1,2,2,2,2,3,3,3,3,4,4,4,4,5,5,5,5,0}';
  distance_base CONSTANT integer[] :=
    '{1,2,3,4,5,7,9,13,17,25,33,49,65,97,129,193,257,385,513,769,1025,1537,2049,3073,4097,6145,8193,12289,16385,24577}';
  distance_bits CONSTANT integer[] := '{0,0,0,0,1,1,2,2,3,3,4,4,5,5,6,6,7,7,8,8,9,9,10,10,11,11,12,12,13,13}';
BEGIN
  WHILE NOT is_last LOOP
    WHILE n_bits < 3 LOOP
      bits := bits | (get_byte(packed, place)::bigint << n_bits); place := place + 1; n_bits := n_bits + 8;
    END LOOP;
    is_last := bits & 1 = 1; kind := (bits >> 1) & 3; bits := bits >> 3; n_bits := n_bits - 3;
    IF kind = 3 THEN
      RETURN NULL;
    ELSIF kind = 0 THEN -- bytes as they are
      place := place - n_bits / 8; bits := 0; n_bits := 0;
      n := get_byte(packed, place) | (get_byte(packed, place + 1) << 8);
      place := place + 4;
      IF length(past) + size + n > most OR place + n > length(packed) THEN
        RETURN NULL;
      END IF;
      piece := substr(room, 1, size) || substr(packed, place + 1, n);
      place := place + n;
      size := least(length(piece), 32768);
      past := past || substr(piece, 1, length(piece) - size);
      room := overlay(room PLACING substr(piece, length(piece) - size + 1) FROM 1);
      CONTINUE;
    ELSIF kind = 1 THEN
      literals := hh_codes(array_fill(8, ARRAY[144]) || array_fill(9, ARRAY[112]) || array_fill(7, ARRAY[24])
        || array_fill(8, ARRAY[8]));
      distances := hh_codes(array_fill(5, ARRAY[30]));
    ELSE
      WHILE n_bits < 14 LOOP
        bits := bits | (get_byte(packed, place)::bigint << n_bits); place := place + 1; n_bits := n_bits + 8;
      END LOOP;
      n_literals := (bits & 31) + 257;
      n_all := n_literals + ((bits >> 5) & 31) + 1;
      n := ((bits >> 10) & 15) + 4;
      bits := bits >> 14; n_bits := n_bits - 14;
      lengths := array_fill(0, ARRAY[19]);
      FOR i IN 1..n LOOP
        WHILE n_bits < 3 LOOP
          bits := bits | (get_byte(packed, place)::bigint << n_bits); place := place + 1; n_bits := n_bits + 8;
        END LOOP;
        lengths[length_order[i] + 1] := bits & 7; bits := bits >> 3; n_bits := n_bits - 3;
      END LOOP;
      code := hh_codes(lengths);
      lengths := '{}';
      WHILE cardinality(lengths) < n_all LOOP
        WHILE n_bits < 14 AND place < length(packed) LOOP
          bits := bits | (get_byte(packed, place)::bigint << n_bits); place := place + 1; n_bits := n_bits + 8;
        END LOOP;
        word := 0; first := 0; before := 0; n := 2;
        LOOP
          word := word | (bits & 1)::integer; bits := bits >> 1; n_bits := n_bits - 1;
          IF n_bits < 0 OR n > 16 THEN
            RETURN NULL;
          END IF;
          IF word - code[n] < first THEN
            symbol := code[17 + before + word - first];
            EXIT;
          END IF;
          before := before + code[n]; first := (first + code[n]) << 1; word := word << 1; n := n + 1;
        END LOOP;
        IF symbol < 16 THEN
          lengths := lengths || symbol;
        ELSE
          n := CASE symbol WHEN 16 THEN 2 WHEN 17 THEN 3 ELSE 7 END;
          again := (bits & ((1 << n) - 1))::integer + CASE symbol WHEN 18 THEN 11 ELSE 3 END;
          bits := bits >> n; n_bits := n_bits - n;
          lengths := lengths
            || array_fill(CASE symbol WHEN 16 THEN lengths[cardinality(lengths)] ELSE 0 END, ARRAY[again]);
        END IF;
      END LOOP;
      literals := hh_codes(lengths[1:n_literals]); distances := hh_codes(lengths[n_literals + 1:n_all]);
    END IF;
    LOOP
      WHILE n_bits < 48 AND place < length(packed) LOOP
        bits := bits | (get_byte(packed, place)::bigint << n_bits); place := place + 1; n_bits := n_bits + 8;
      END LOOP;
      word := 0; first := 0; before := 0; n := 2;
      LOOP
        word := word | (bits & 1)::integer; bits := bits >> 1; n_bits := n_bits - 1;
        IF n_bits < 0 OR n > 16 THEN
          RETURN NULL;
        END IF;
        IF word - literals[n] < first THEN
          symbol := literals[17 + before + word - first];
          EXIT;
        END IF;
        before := before + literals[n]; first := (first + literals[n]) << 1; word := word << 1; n := n + 1;
      END LOOP;
      IF symbol < 256 THEN
        room := set_byte(room, size, symbol); size := size + 1;
      ELSIF symbol = 256 THEN
        EXIT;
      ELSE
        n := length_bits[symbol - 256];
        again := length_base[symbol - 256] + (bits & ((1 << n) - 1))::integer;
        bits := bits >> n; n_bits := n_bits - n;
        word := 0; first := 0; before := 0; n := 2;
        LOOP
          word := word | (bits & 1)::integer; bits := bits >> 1; n_bits := n_bits - 1;
          IF n_bits < 0 OR n > 16 THEN
            RETURN NULL;
          END IF;
          IF word - distances[n] < first THEN
            symbol := distances[17 + before + word - first];
            EXIT;
          END IF;
          before := before + distances[n]; first := (first + distances[n]) << 1; word := word << 1; n := n + 1;
        END LOOP;
        n := distance_bits[symbol + 1];
        distance := distance_base[symbol + 1] + (bits & ((1 << n) - 1))::integer;
        bits := bits >> n; n_bits := n_bits - n;
        IF distance > size OR n_bits < 0 THEN
          RETURN NULL;
        END IF;
        piece := substr(room, size - distance + 1, least(again, distance));
        WHILE length(piece) < again LOOP
          piece := piece || piece;
        END LOOP;
        room := overlay(room PLACING substr(piece, 1, again) FROM size + 1); size := size + again;
      END IF;
      IF length(past) + size > most THEN
        RETURN NULL;
      ELSIF size > 49152 THEN
        past := past || substr(room, 1, size - 32768);
        room := overlay(room PLACING substr(room, size - 32767, 32768) FROM 1); size := 32768;
      END IF;
    END LOOP;
  END LOOP;
  RETURN past || substr(room, 1, size);
EXCEPTION WHEN array_subscript_error OR null_value_not_allowed OR data_exception THEN
  RETURN NULL; -- it ends too early, or names a code that it does not have
END
$$;
COMMENT ON FUNCTION hh_inflated IS 'What zlib packed, of so many bytes at most; NULL where it is none.';
CREATE OR REPLACE FUNCTION hh_is_content(sha256 text, size_bytes bigint, encoding text, data bytea) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
DECLARE
  said bytea := data;
BEGIN
  IF encoding = 'zlib' THEN
    IF size_bytes > 8388608 THEN
      RETURN NULL; -- it would take half a minute
    END IF;
    said := hh_inflated(data, size_bytes::integer);
  END IF;
  RETURN said IS NOT NULL AND length(said) = size_bytes
    AND encode(pg_catalog.sha256(said), 'hex') = hh_is_content.sha256;
END
$$;
COMMENT ON FUNCTION hh_is_content IS 'Whether a content is what its SHA-256 says; NULL for one that is too large to say.';

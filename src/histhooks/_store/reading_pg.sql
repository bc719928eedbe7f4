-- What reading a target needs beside its tables: functions that SQLite has or is given, in PostgreSQL's words.
-- Made with a target and by `histhooks team upgrade`; each statement may be run again.
CREATE OR REPLACE FUNCTION instr(given text, part text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT strpos(given, part)
$$;
CREATE OR REPLACE FUNCTION json_array_length(document text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN left(ltrim(document), 1) = '[' THEN pg_catalog.json_array_length(document::json)::bigint ELSE 0 END
$$;
CREATE OR REPLACE FUNCTION hh_substr(given text, start bigint, length bigint DEFAULT NULL) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN start < 0 AND length IS NULL THEN right(given, (-start)::integer)
    WHEN start < 0 THEN left(right(given, (-start)::integer), greatest(length, 0)::integer)
    WHEN length IS NULL THEN substr(given, start::integer)
    ELSE substr(given, start::integer, greatest(length, 0)::integer)
  END
$$;
COMMENT ON FUNCTION hh_substr IS 'A part of a text; a place less than 0 counts from its end.';
CREATE OR REPLACE FUNCTION hh_glob_set(members text, is_not boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  made text := '';
  i integer := 1;
  stop text;
BEGIN
  WHILE i <= length(members) LOOP
    stop := CASE WHEN substr(members, i + 1, 1) = '-' THEN nullif(substr(members, i + 2, 1), '') END;
    IF stop IS NULL THEN
      made := made || regexp_replace(substr(members, i, 1), '[^[:alnum:]]', '\\\&');
      i := i + 1;
    ELSE
      IF substr(members, i, 1) COLLATE "C" <= stop COLLATE "C" THEN
        made := made || regexp_replace(substr(members, i, 1), '[^[:alnum:]]', '\\\&')
          || '-' || regexp_replace(stop, '[^[:alnum:]]', '\\\&');
      END IF;
      i := i + 3;
    END IF;
  END LOOP;
  RETURN CASE WHEN made <> '' THEN '[' || CASE WHEN is_not THEN '^' ELSE '' END || made || ']'
    WHEN is_not THEN '.' ELSE '(?!)' END;
END
$$;
COMMENT ON FUNCTION hh_glob_set IS 'Signs and ranges of a pattern, between brackets, as a regular expression.';
CREATE OR REPLACE FUNCTION hh_glob(pattern text, negating text DEFAULT '!^') RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  made text := '';
  i integer := 1;
  skipped integer;
  stop integer;
  sign text;
BEGIN
  WHILE i <= length(pattern) LOOP
    sign := substr(pattern, i, 1);
    skipped := CASE WHEN i < length(pattern) AND strpos(negating, substr(pattern, i + 1, 1)) > 0 THEN 1 ELSE 0 END;
    stop := strpos(substr(pattern, i + skipped + 2), ']');  -- one that comes first is a member
    IF sign = '*' THEN
      made := made || '.*';
    ELSIF sign = '?' THEN
      made := made || '.';
    ELSIF sign = '[' AND stop > 0 THEN
      made := made || hh_glob_set(substr(pattern, i + skipped + 1, stop), skipped > 0);
      i := i + skipped + stop + 1;
    ELSE
      made := made || CASE WHEN sign ~ '[[:alnum:]_ ]' THEN sign ELSE '\' || sign END;
    END IF;
    i := i + 1;
  END LOOP;
  RETURN '(?s)^(?:' || made || ')$';
END
$$;
COMMENT ON FUNCTION hh_glob IS 'A pattern with * and ? as a regular expression.';
CREATE OR REPLACE FUNCTION hh_folded(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  made text := given;
  pair text[];
BEGIN
  IF octet_length(given) = length(given) THEN
    RETURN lower(given COLLATE "C");
  END IF;
  FOREACH pair SLICE 1 IN ARRAY ARRAY[
    [U&'\00DF', U&'ss'], [U&'\0130', U&'i\0307'], [U&'\0149', U&'\02BCn'],
    [U&'\01F0', U&'j\030C'], [U&'\0390', U&'\03B9\0308\0301'], [U&'\03B0', U&'\03C5\0308\0301'],
    [U&'\0587', U&'\0565\0582'], [U&'\1E96', U&'h\0331'], [U&'\1E97', U&'t\0308'],
    [U&'\1E98', U&'w\030A'], [U&'\1E99', U&'y\030A'], [U&'\1E9A', U&'a\02BE'],
    [U&'\1E9E', U&'ss'], [U&'\1F50', U&'\03C5\0313'], [U&'\1F52', U&'\03C5\0313\0300'],
    [U&'\1F54', U&'\03C5\0313\0301'], [U&'\1F56', U&'\03C5\0313\0342'], [U&'\1F80', U&'\1F00\03B9'],
    [U&'\1F81', U&'\1F01\03B9'], [U&'\1F82', U&'\1F02\03B9'], [U&'\1F83', U&'\1F03\03B9'],
    [U&'\1F84', U&'\1F04\03B9'], [U&'\1F85', U&'\1F05\03B9'], [U&'\1F86', U&'\1F06\03B9'],
    [U&'\1F87', U&'\1F07\03B9'], [U&'\1F88', U&'\1F00\03B9'], [U&'\1F89', U&'\1F01\03B9'],
    [U&'\1F8A', U&'\1F02\03B9'], [U&'\1F8B', U&'\1F03\03B9'], [U&'\1F8C', U&'\1F04\03B9'],
    [U&'\1F8D', U&'\1F05\03B9'], [U&'\1F8E', U&'\1F06\03B9'], [U&'\1F8F', U&'\1F07\03B9'],
    [U&'\1F90', U&'\1F20\03B9'], [U&'\1F91', U&'\1F21\03B9'], [U&'\1F92', U&'\1F22\03B9'],
    [U&'\1F93', U&'\1F23\03B9'], [U&'\1F94', U&'\1F24\03B9'], [U&'\1F95', U&'\1F25\03B9'],
    [U&'\1F96', U&'\1F26\03B9'], [U&'\1F97', U&'\1F27\03B9'], [U&'\1F98', U&'\1F20\03B9'],
    [U&'\1F99', U&'\1F21\03B9'], [U&'\1F9A', U&'\1F22\03B9'], [U&'\1F9B', U&'\1F23\03B9'],
    [U&'\1F9C', U&'\1F24\03B9'], [U&'\1F9D', U&'\1F25\03B9'], [U&'\1F9E', U&'\1F26\03B9'],
    [U&'\1F9F', U&'\1F27\03B9'], [U&'\1FA0', U&'\1F60\03B9'], [U&'\1FA1', U&'\1F61\03B9'],
    [U&'\1FA2', U&'\1F62\03B9'], [U&'\1FA3', U&'\1F63\03B9'], [U&'\1FA4', U&'\1F64\03B9'],
    [U&'\1FA5', U&'\1F65\03B9'], [U&'\1FA6', U&'\1F66\03B9'], [U&'\1FA7', U&'\1F67\03B9'],
    [U&'\1FA8', U&'\1F60\03B9'], [U&'\1FA9', U&'\1F61\03B9'], [U&'\1FAA', U&'\1F62\03B9'],
    [U&'\1FAB', U&'\1F63\03B9'], [U&'\1FAC', U&'\1F64\03B9'], [U&'\1FAD', U&'\1F65\03B9'],
    [U&'\1FAE', U&'\1F66\03B9'], [U&'\1FAF', U&'\1F67\03B9'], [U&'\1FB2', U&'\1F70\03B9'],
    [U&'\1FB3', U&'\03B1\03B9'], [U&'\1FB4', U&'\03AC\03B9'], [U&'\1FB6', U&'\03B1\0342'],
    [U&'\1FB7', U&'\03B1\0342\03B9'], [U&'\1FBC', U&'\03B1\03B9'], [U&'\1FC2', U&'\1F74\03B9'],
    [U&'\1FC3', U&'\03B7\03B9'], [U&'\1FC4', U&'\03AE\03B9'], [U&'\1FC6', U&'\03B7\0342'],
    [U&'\1FC7', U&'\03B7\0342\03B9'], [U&'\1FCC', U&'\03B7\03B9'], [U&'\1FD2', U&'\03B9\0308\0300'],
    [U&'\1FD3', U&'\03B9\0308\0301'], [U&'\1FD6', U&'\03B9\0342'], [U&'\1FD7', U&'\03B9\0308\0342'],
    [U&'\1FE2', U&'\03C5\0308\0300'], [U&'\1FE3', U&'\03C5\0308\0301'], [U&'\1FE4', U&'\03C1\0313'],
    [U&'\1FE6', U&'\03C5\0342'], [U&'\1FE7', U&'\03C5\0308\0342'], [U&'\1FF2', U&'\1F7C\03B9'],
    [U&'\1FF3', U&'\03C9\03B9'], [U&'\1FF4', U&'\03CE\03B9'], [U&'\1FF6', U&'\03C9\0342'],
    [U&'\1FF7', U&'\03C9\0342\03B9'], [U&'\1FFC', U&'\03C9\03B9'], [U&'\FB00', U&'ff'],
    [U&'\FB01', U&'fi'], [U&'\FB02', U&'fl'], [U&'\FB03', U&'ffi'],
    [U&'\FB04', U&'ffl'], [U&'\FB05', U&'st'], [U&'\FB06', U&'st'],
    [U&'\FB13', U&'\0574\0576'], [U&'\FB14', U&'\0574\0565'], [U&'\FB15', U&'\0574\056B'],
    [U&'\FB16', U&'\057E\0576'], [U&'\FB17', U&'\0574\056D']
  ] LOOP
    IF strpos(made, pair[1]) > 0 THEN
      made := replace(made, pair[1], pair[2]);
    END IF;
  END LOOP;
  RETURN translate(made, U&'\00B5\00C0\00C1\00C2\00C3\00C4\00C5\00C6\00C7\00C8\00C9\00CA\00CB\00CC\00CD\00CE\00CF\00D0\00D1\00D2'
    || U&'\00D3\00D4\00D5\00D6\00D8\00D9\00DA\00DB\00DC\00DD\00DE\0100\0102\0104\0106\0108\010A\010C\010E\0110'
    || U&'\0112\0114\0116\0118\011A\011C\011E\0120\0122\0124\0126\0128\012A\012C\012E\0132\0134\0136\0139\013B'
    || U&'\013D\013F\0141\0143\0145\0147\014A\014C\014E\0150\0152\0154\0156\0158\015A\015C\015E\0160\0162\0164'
    || U&'\0166\0168\016A\016C\016E\0170\0172\0174\0176\0178\0179\017B\017D\017F\0181\0182\0184\0186\0187\0189'
    || U&'\018A\018B\018E\018F\0190\0191\0193\0194\0196\0197\0198\019C\019D\019F\01A0\01A2\01A4\01A6\01A7\01A9'
    || U&'\01AC\01AE\01AF\01B1\01B2\01B3\01B5\01B7\01B8\01BC\01C4\01C5\01C7\01C8\01CA\01CB\01CD\01CF\01D1\01D3'
    || U&'\01D5\01D7\01D9\01DB\01DE\01E0\01E2\01E4\01E6\01E8\01EA\01EC\01EE\01F1\01F2\01F4\01F6\01F7\01F8\01FA'
    || U&'\01FC\01FE\0200\0202\0204\0206\0208\020A\020C\020E\0210\0212\0214\0216\0218\021A\021C\021E\0220\0222'
    || U&'\0224\0226\0228\022A\022C\022E\0230\0232\023A\023B\023D\023E\0241\0243\0244\0245\0246\0248\024A\024C'
    || U&'\024E\0345\0370\0372\0376\037F\0386\0388\0389\038A\038C\038E\038F\0391\0392\0393\0394\0395\0396\0397'
    || U&'\0398\0399\039A\039B\039C\039D\039E\039F\03A0\03A1\03A3\03A4\03A5\03A6\03A7\03A8\03A9\03AA\03AB\03C2'
    || U&'\03CF\03D0\03D1\03D5\03D6\03D8\03DA\03DC\03DE\03E0\03E2\03E4\03E6\03E8\03EA\03EC\03EE\03F0\03F1\03F4'
    || U&'\03F5\03F7\03F9\03FA\03FD\03FE\03FF\0400\0401\0402\0403\0404\0405\0406\0407\0408\0409\040A\040B\040C'
    || U&'\040D\040E\040F\0410\0411\0412\0413\0414\0415\0416\0417\0418\0419\041A\041B\041C\041D\041E\041F\0420'
    || U&'\0421\0422\0423\0424\0425\0426\0427\0428\0429\042A\042B\042C\042D\042E\042F\0460\0462\0464\0466\0468'
    || U&'\046A\046C\046E\0470\0472\0474\0476\0478\047A\047C\047E\0480\048A\048C\048E\0490\0492\0494\0496\0498'
    || U&'\049A\049C\049E\04A0\04A2\04A4\04A6\04A8\04AA\04AC\04AE\04B0\04B2\04B4\04B6\04B8\04BA\04BC\04BE\04C0'
    || U&'\04C1\04C3\04C5\04C7\04C9\04CB\04CD\04D0\04D2\04D4\04D6\04D8\04DA\04DC\04DE\04E0\04E2\04E4\04E6\04E8'
    || U&'\04EA\04EC\04EE\04F0\04F2\04F4\04F6\04F8\04FA\04FC\04FE\0500\0502\0504\0506\0508\050A\050C\050E\0510'
    || U&'\0512\0514\0516\0518\051A\051C\051E\0520\0522\0524\0526\0528\052A\052C\052E\0531\0532\0533\0534\0535'
    || U&'\0536\0537\0538\0539\053A\053B\053C\053D\053E\053F\0540\0541\0542\0543\0544\0545\0546\0547\0548\0549'
    || U&'\054A\054B\054C\054D\054E\054F\0550\0551\0552\0553\0554\0555\0556\10A0\10A1\10A2\10A3\10A4\10A5\10A6'
    || U&'\10A7\10A8\10A9\10AA\10AB\10AC\10AD\10AE\10AF\10B0\10B1\10B2\10B3\10B4\10B5\10B6\10B7\10B8\10B9\10BA'
    || U&'\10BB\10BC\10BD\10BE\10BF\10C0\10C1\10C2\10C3\10C4\10C5\10C7\10CD\13F8\13F9\13FA\13FB\13FC\13FD\1C80'
    || U&'\1C81\1C82\1C83\1C84\1C85\1C86\1C87\1C88\1C90\1C91\1C92\1C93\1C94\1C95\1C96\1C97\1C98\1C99\1C9A\1C9B'
    || U&'\1C9C\1C9D\1C9E\1C9F\1CA0\1CA1\1CA2\1CA3\1CA4\1CA5\1CA6\1CA7\1CA8\1CA9\1CAA\1CAB\1CAC\1CAD\1CAE\1CAF'
    || U&'\1CB0\1CB1\1CB2\1CB3\1CB4\1CB5\1CB6\1CB7\1CB8\1CB9\1CBA\1CBD\1CBE\1CBF\1E00\1E02\1E04\1E06\1E08\1E0A'
    || U&'\1E0C\1E0E\1E10\1E12\1E14\1E16\1E18\1E1A\1E1C\1E1E\1E20\1E22\1E24\1E26\1E28\1E2A\1E2C\1E2E\1E30\1E32'
    || U&'\1E34\1E36\1E38\1E3A\1E3C\1E3E\1E40\1E42\1E44\1E46\1E48\1E4A\1E4C\1E4E\1E50\1E52\1E54\1E56\1E58\1E5A'
    || U&'\1E5C\1E5E\1E60\1E62\1E64\1E66\1E68\1E6A\1E6C\1E6E\1E70\1E72\1E74\1E76\1E78\1E7A\1E7C\1E7E\1E80\1E82'
    || U&'\1E84\1E86\1E88\1E8A\1E8C\1E8E\1E90\1E92\1E94\1E9B\1EA0\1EA2\1EA4\1EA6\1EA8\1EAA\1EAC\1EAE\1EB0\1EB2'
    || U&'\1EB4\1EB6\1EB8\1EBA\1EBC\1EBE\1EC0\1EC2\1EC4\1EC6\1EC8\1ECA\1ECC\1ECE\1ED0\1ED2\1ED4\1ED6\1ED8\1EDA'
    || U&'\1EDC\1EDE\1EE0\1EE2\1EE4\1EE6\1EE8\1EEA\1EEC\1EEE\1EF0\1EF2\1EF4\1EF6\1EF8\1EFA\1EFC\1EFE\1F08\1F09'
    || U&'\1F0A\1F0B\1F0C\1F0D\1F0E\1F0F\1F18\1F19\1F1A\1F1B\1F1C\1F1D\1F28\1F29\1F2A\1F2B\1F2C\1F2D\1F2E\1F2F'
    || U&'\1F38\1F39\1F3A\1F3B\1F3C\1F3D\1F3E\1F3F\1F48\1F49\1F4A\1F4B\1F4C\1F4D\1F59\1F5B\1F5D\1F5F\1F68\1F69'
    || U&'\1F6A\1F6B\1F6C\1F6D\1F6E\1F6F\1FB8\1FB9\1FBA\1FBB\1FBE\1FC8\1FC9\1FCA\1FCB\1FD8\1FD9\1FDA\1FDB\1FE8'
    || U&'\1FE9\1FEA\1FEB\1FEC\1FF8\1FF9\1FFA\1FFB\2126\212A\212B\2132\2160\2161\2162\2163\2164\2165\2166\2167'
    || U&'\2168\2169\216A\216B\216C\216D\216E\216F\2183\24B6\24B7\24B8\24B9\24BA\24BB\24BC\24BD\24BE\24BF\24C0'
    || U&'\24C1\24C2\24C3\24C4\24C5\24C6\24C7\24C8\24C9\24CA\24CB\24CC\24CD\24CE\24CF\2C00\2C01\2C02\2C03\2C04'
    || U&'\2C05\2C06\2C07\2C08\2C09\2C0A\2C0B\2C0C\2C0D\2C0E\2C0F\2C10\2C11\2C12\2C13\2C14\2C15\2C16\2C17\2C18'
    || U&'\2C19\2C1A\2C1B\2C1C\2C1D\2C1E\2C1F\2C20\2C21\2C22\2C23\2C24\2C25\2C26\2C27\2C28\2C29\2C2A\2C2B\2C2C'
    || U&'\2C2D\2C2E\2C2F\2C60\2C62\2C63\2C64\2C67\2C69\2C6B\2C6D\2C6E\2C6F\2C70\2C72\2C75\2C7E\2C7F\2C80\2C82'
    || U&'\2C84\2C86\2C88\2C8A\2C8C\2C8E\2C90\2C92\2C94\2C96\2C98\2C9A\2C9C\2C9E\2CA0\2CA2\2CA4\2CA6\2CA8\2CAA'
    || U&'\2CAC\2CAE\2CB0\2CB2\2CB4\2CB6\2CB8\2CBA\2CBC\2CBE\2CC0\2CC2\2CC4\2CC6\2CC8\2CCA\2CCC\2CCE\2CD0\2CD2'
    || U&'\2CD4\2CD6\2CD8\2CDA\2CDC\2CDE\2CE0\2CE2\2CEB\2CED\2CF2\A640\A642\A644\A646\A648\A64A\A64C\A64E\A650'
    || U&'\A652\A654\A656\A658\A65A\A65C\A65E\A660\A662\A664\A666\A668\A66A\A66C\A680\A682\A684\A686\A688\A68A'
    || U&'\A68C\A68E\A690\A692\A694\A696\A698\A69A\A722\A724\A726\A728\A72A\A72C\A72E\A732\A734\A736\A738\A73A'
    || U&'\A73C\A73E\A740\A742\A744\A746\A748\A74A\A74C\A74E\A750\A752\A754\A756\A758\A75A\A75C\A75E\A760\A762'
    || U&'\A764\A766\A768\A76A\A76C\A76E\A779\A77B\A77D\A77E\A780\A782\A784\A786\A78B\A78D\A790\A792\A796\A798'
    || U&'\A79A\A79C\A79E\A7A0\A7A2\A7A4\A7A6\A7A8\A7AA\A7AB\A7AC\A7AD\A7AE\A7B0\A7B1\A7B2\A7B3\A7B4\A7B6\A7B8'
    || U&'\A7BA\A7BC\A7BE\A7C0\A7C2\A7C4\A7C5\A7C6\A7C7\A7C9\A7D0\A7D6\A7D8\A7F5\AB70\AB71\AB72\AB73\AB74\AB75'
    || U&'\AB76\AB77\AB78\AB79\AB7A\AB7B\AB7C\AB7D\AB7E\AB7F\AB80\AB81\AB82\AB83\AB84\AB85\AB86\AB87\AB88\AB89'
    || U&'\AB8A\AB8B\AB8C\AB8D\AB8E\AB8F\AB90\AB91\AB92\AB93\AB94\AB95\AB96\AB97\AB98\AB99\AB9A\AB9B\AB9C\AB9D'
    || U&'\AB9E\AB9F\ABA0\ABA1\ABA2\ABA3\ABA4\ABA5\ABA6\ABA7\ABA8\ABA9\ABAA\ABAB\ABAC\ABAD\ABAE\ABAF\ABB0\ABB1'
    || U&'\ABB2\ABB3\ABB4\ABB5\ABB6\ABB7\ABB8\ABB9\ABBA\ABBB\ABBC\ABBD\ABBE\ABBF\FF21\FF22\FF23\FF24\FF25\FF26'
    || U&'\FF27\FF28\FF29\FF2A\FF2B\FF2C\FF2D\FF2E\FF2F\FF30\FF31\FF32\FF33\FF34\FF35\FF36\FF37\FF38\FF39\FF3A'
    || U&'\+010400\+010401\+010402\+010403\+010404\+010405\+010406\+010407\+010408\+010409\+01040A\+01040B\+01040C\+01040D\+01040E\+01040F\+010410\+010411\+010412\+010413'
    || U&'\+010414\+010415\+010416\+010417\+010418\+010419\+01041A\+01041B\+01041C\+01041D\+01041E\+01041F\+010420\+010421\+010422\+010423\+010424\+010425\+010426\+010427'
    || U&'\+0104B0\+0104B1\+0104B2\+0104B3\+0104B4\+0104B5\+0104B6\+0104B7\+0104B8\+0104B9\+0104BA\+0104BB\+0104BC\+0104BD\+0104BE\+0104BF\+0104C0\+0104C1\+0104C2\+0104C3'
    || U&'\+0104C4\+0104C5\+0104C6\+0104C7\+0104C8\+0104C9\+0104CA\+0104CB\+0104CC\+0104CD\+0104CE\+0104CF\+0104D0\+0104D1\+0104D2\+0104D3\+010570\+010571\+010572\+010573'
    || U&'\+010574\+010575\+010576\+010577\+010578\+010579\+01057A\+01057C\+01057D\+01057E\+01057F\+010580\+010581\+010582\+010583\+010584\+010585\+010586\+010587\+010588'
    || U&'\+010589\+01058A\+01058C\+01058D\+01058E\+01058F\+010590\+010591\+010592\+010594\+010595\+010C80\+010C81\+010C82\+010C83\+010C84\+010C85\+010C86\+010C87\+010C88'
    || U&'\+010C89\+010C8A\+010C8B\+010C8C\+010C8D\+010C8E\+010C8F\+010C90\+010C91\+010C92\+010C93\+010C94\+010C95\+010C96\+010C97\+010C98\+010C99\+010C9A\+010C9B\+010C9C'
    || U&'\+010C9D\+010C9E\+010C9F\+010CA0\+010CA1\+010CA2\+010CA3\+010CA4\+010CA5\+010CA6\+010CA7\+010CA8\+010CA9\+010CAA\+010CAB\+010CAC\+010CAD\+010CAE\+010CAF\+010CB0'
    || U&'\+010CB1\+010CB2\+0118A0\+0118A1\+0118A2\+0118A3\+0118A4\+0118A5\+0118A6\+0118A7\+0118A8\+0118A9\+0118AA\+0118AB\+0118AC\+0118AD\+0118AE\+0118AF\+0118B0\+0118B1'
    || U&'\+0118B2\+0118B3\+0118B4\+0118B5\+0118B6\+0118B7\+0118B8\+0118B9\+0118BA\+0118BB\+0118BC\+0118BD\+0118BE\+0118BF\+016E40\+016E41\+016E42\+016E43\+016E44\+016E45'
    || U&'\+016E46\+016E47\+016E48\+016E49\+016E4A\+016E4B\+016E4C\+016E4D\+016E4E\+016E4F\+016E50\+016E51\+016E52\+016E53\+016E54\+016E55\+016E56\+016E57\+016E58\+016E59'
    || U&'\+016E5A\+016E5B\+016E5C\+016E5D\+016E5E\+016E5F\+01E900\+01E901\+01E902\+01E903\+01E904\+01E905\+01E906\+01E907\+01E908\+01E909\+01E90A\+01E90B\+01E90C\+01E90D'
    || U&'\+01E90E\+01E90F\+01E910\+01E911\+01E912\+01E913\+01E914\+01E915\+01E916\+01E917\+01E918\+01E919\+01E91A\+01E91B\+01E91C\+01E91D\+01E91E\+01E91F\+01E920\+01E921'
    || U&'ABCDEFGHIJKLMNOPQRST'
    || U&'UVWXYZ', U&'\03BC\00E0\00E1\00E2\00E3\00E4\00E5\00E6\00E7\00E8\00E9\00EA\00EB\00EC\00ED\00EE\00EF\00F0\00F1\00F2'
    || U&'\00F3\00F4\00F5\00F6\00F8\00F9\00FA\00FB\00FC\00FD\00FE\0101\0103\0105\0107\0109\010B\010D\010F\0111'
    || U&'\0113\0115\0117\0119\011B\011D\011F\0121\0123\0125\0127\0129\012B\012D\012F\0133\0135\0137\013A\013C'
    || U&'\013E\0140\0142\0144\0146\0148\014B\014D\014F\0151\0153\0155\0157\0159\015B\015D\015F\0161\0163\0165'
    || U&'\0167\0169\016B\016D\016F\0171\0173\0175\0177\00FF\017A\017C\017Es\0253\0183\0185\0254\0188\0256'
    || U&'\0257\018C\01DD\0259\025B\0192\0260\0263\0269\0268\0199\026F\0272\0275\01A1\01A3\01A5\0280\01A8\0283'
    || U&'\01AD\0288\01B0\028A\028B\01B4\01B6\0292\01B9\01BD\01C6\01C6\01C9\01C9\01CC\01CC\01CE\01D0\01D2\01D4'
    || U&'\01D6\01D8\01DA\01DC\01DF\01E1\01E3\01E5\01E7\01E9\01EB\01ED\01EF\01F3\01F3\01F5\0195\01BF\01F9\01FB'
    || U&'\01FD\01FF\0201\0203\0205\0207\0209\020B\020D\020F\0211\0213\0215\0217\0219\021B\021D\021F\019E\0223'
    || U&'\0225\0227\0229\022B\022D\022F\0231\0233\2C65\023C\019A\2C66\0242\0180\0289\028C\0247\0249\024B\024D'
    || U&'\024F\03B9\0371\0373\0377\03F3\03AC\03AD\03AE\03AF\03CC\03CD\03CE\03B1\03B2\03B3\03B4\03B5\03B6\03B7'
    || U&'\03B8\03B9\03BA\03BB\03BC\03BD\03BE\03BF\03C0\03C1\03C3\03C4\03C5\03C6\03C7\03C8\03C9\03CA\03CB\03C3'
    || U&'\03D7\03B2\03B8\03C6\03C0\03D9\03DB\03DD\03DF\03E1\03E3\03E5\03E7\03E9\03EB\03ED\03EF\03BA\03C1\03B8'
    || U&'\03B5\03F8\03F2\03FB\037B\037C\037D\0450\0451\0452\0453\0454\0455\0456\0457\0458\0459\045A\045B\045C'
    || U&'\045D\045E\045F\0430\0431\0432\0433\0434\0435\0436\0437\0438\0439\043A\043B\043C\043D\043E\043F\0440'
    || U&'\0441\0442\0443\0444\0445\0446\0447\0448\0449\044A\044B\044C\044D\044E\044F\0461\0463\0465\0467\0469'
    || U&'\046B\046D\046F\0471\0473\0475\0477\0479\047B\047D\047F\0481\048B\048D\048F\0491\0493\0495\0497\0499'
    || U&'\049B\049D\049F\04A1\04A3\04A5\04A7\04A9\04AB\04AD\04AF\04B1\04B3\04B5\04B7\04B9\04BB\04BD\04BF\04CF'
    || U&'\04C2\04C4\04C6\04C8\04CA\04CC\04CE\04D1\04D3\04D5\04D7\04D9\04DB\04DD\04DF\04E1\04E3\04E5\04E7\04E9'
    || U&'\04EB\04ED\04EF\04F1\04F3\04F5\04F7\04F9\04FB\04FD\04FF\0501\0503\0505\0507\0509\050B\050D\050F\0511'
    || U&'\0513\0515\0517\0519\051B\051D\051F\0521\0523\0525\0527\0529\052B\052D\052F\0561\0562\0563\0564\0565'
    || U&'\0566\0567\0568\0569\056A\056B\056C\056D\056E\056F\0570\0571\0572\0573\0574\0575\0576\0577\0578\0579'
    || U&'\057A\057B\057C\057D\057E\057F\0580\0581\0582\0583\0584\0585\0586\2D00\2D01\2D02\2D03\2D04\2D05\2D06'
    || U&'\2D07\2D08\2D09\2D0A\2D0B\2D0C\2D0D\2D0E\2D0F\2D10\2D11\2D12\2D13\2D14\2D15\2D16\2D17\2D18\2D19\2D1A'
    || U&'\2D1B\2D1C\2D1D\2D1E\2D1F\2D20\2D21\2D22\2D23\2D24\2D25\2D27\2D2D\13F0\13F1\13F2\13F3\13F4\13F5\0432'
    || U&'\0434\043E\0441\0442\0442\044A\0463\A64B\10D0\10D1\10D2\10D3\10D4\10D5\10D6\10D7\10D8\10D9\10DA\10DB'
    || U&'\10DC\10DD\10DE\10DF\10E0\10E1\10E2\10E3\10E4\10E5\10E6\10E7\10E8\10E9\10EA\10EB\10EC\10ED\10EE\10EF'
    || U&'\10F0\10F1\10F2\10F3\10F4\10F5\10F6\10F7\10F8\10F9\10FA\10FD\10FE\10FF\1E01\1E03\1E05\1E07\1E09\1E0B'
    || U&'\1E0D\1E0F\1E11\1E13\1E15\1E17\1E19\1E1B\1E1D\1E1F\1E21\1E23\1E25\1E27\1E29\1E2B\1E2D\1E2F\1E31\1E33'
    || U&'\1E35\1E37\1E39\1E3B\1E3D\1E3F\1E41\1E43\1E45\1E47\1E49\1E4B\1E4D\1E4F\1E51\1E53\1E55\1E57\1E59\1E5B'
    || U&'\1E5D\1E5F\1E61\1E63\1E65\1E67\1E69\1E6B\1E6D\1E6F\1E71\1E73\1E75\1E77\1E79\1E7B\1E7D\1E7F\1E81\1E83'
    || U&'\1E85\1E87\1E89\1E8B\1E8D\1E8F\1E91\1E93\1E95\1E61\1EA1\1EA3\1EA5\1EA7\1EA9\1EAB\1EAD\1EAF\1EB1\1EB3'
    || U&'\1EB5\1EB7\1EB9\1EBB\1EBD\1EBF\1EC1\1EC3\1EC5\1EC7\1EC9\1ECB\1ECD\1ECF\1ED1\1ED3\1ED5\1ED7\1ED9\1EDB'
    || U&'\1EDD\1EDF\1EE1\1EE3\1EE5\1EE7\1EE9\1EEB\1EED\1EEF\1EF1\1EF3\1EF5\1EF7\1EF9\1EFB\1EFD\1EFF\1F00\1F01'
    || U&'\1F02\1F03\1F04\1F05\1F06\1F07\1F10\1F11\1F12\1F13\1F14\1F15\1F20\1F21\1F22\1F23\1F24\1F25\1F26\1F27'
    || U&'\1F30\1F31\1F32\1F33\1F34\1F35\1F36\1F37\1F40\1F41\1F42\1F43\1F44\1F45\1F51\1F53\1F55\1F57\1F60\1F61'
    || U&'\1F62\1F63\1F64\1F65\1F66\1F67\1FB0\1FB1\1F70\1F71\03B9\1F72\1F73\1F74\1F75\1FD0\1FD1\1F76\1F77\1FE0'
    || U&'\1FE1\1F7A\1F7B\1FE5\1F78\1F79\1F7C\1F7D\03C9k\00E5\214E\2170\2171\2172\2173\2174\2175\2176\2177'
    || U&'\2178\2179\217A\217B\217C\217D\217E\217F\2184\24D0\24D1\24D2\24D3\24D4\24D5\24D6\24D7\24D8\24D9\24DA'
    || U&'\24DB\24DC\24DD\24DE\24DF\24E0\24E1\24E2\24E3\24E4\24E5\24E6\24E7\24E8\24E9\2C30\2C31\2C32\2C33\2C34'
    || U&'\2C35\2C36\2C37\2C38\2C39\2C3A\2C3B\2C3C\2C3D\2C3E\2C3F\2C40\2C41\2C42\2C43\2C44\2C45\2C46\2C47\2C48'
    || U&'\2C49\2C4A\2C4B\2C4C\2C4D\2C4E\2C4F\2C50\2C51\2C52\2C53\2C54\2C55\2C56\2C57\2C58\2C59\2C5A\2C5B\2C5C'
    || U&'\2C5D\2C5E\2C5F\2C61\026B\1D7D\027D\2C68\2C6A\2C6C\0251\0271\0250\0252\2C73\2C76\023F\0240\2C81\2C83'
    || U&'\2C85\2C87\2C89\2C8B\2C8D\2C8F\2C91\2C93\2C95\2C97\2C99\2C9B\2C9D\2C9F\2CA1\2CA3\2CA5\2CA7\2CA9\2CAB'
    || U&'\2CAD\2CAF\2CB1\2CB3\2CB5\2CB7\2CB9\2CBB\2CBD\2CBF\2CC1\2CC3\2CC5\2CC7\2CC9\2CCB\2CCD\2CCF\2CD1\2CD3'
    || U&'\2CD5\2CD7\2CD9\2CDB\2CDD\2CDF\2CE1\2CE3\2CEC\2CEE\2CF3\A641\A643\A645\A647\A649\A64B\A64D\A64F\A651'
    || U&'\A653\A655\A657\A659\A65B\A65D\A65F\A661\A663\A665\A667\A669\A66B\A66D\A681\A683\A685\A687\A689\A68B'
    || U&'\A68D\A68F\A691\A693\A695\A697\A699\A69B\A723\A725\A727\A729\A72B\A72D\A72F\A733\A735\A737\A739\A73B'
    || U&'\A73D\A73F\A741\A743\A745\A747\A749\A74B\A74D\A74F\A751\A753\A755\A757\A759\A75B\A75D\A75F\A761\A763'
    || U&'\A765\A767\A769\A76B\A76D\A76F\A77A\A77C\1D79\A77F\A781\A783\A785\A787\A78C\0265\A791\A793\A797\A799'
    || U&'\A79B\A79D\A79F\A7A1\A7A3\A7A5\A7A7\A7A9\0266\025C\0261\026C\026A\029E\0287\029D\AB53\A7B5\A7B7\A7B9'
    || U&'\A7BB\A7BD\A7BF\A7C1\A7C3\A794\0282\1D8E\A7C8\A7CA\A7D1\A7D7\A7D9\A7F6\13A0\13A1\13A2\13A3\13A4\13A5'
    || U&'\13A6\13A7\13A8\13A9\13AA\13AB\13AC\13AD\13AE\13AF\13B0\13B1\13B2\13B3\13B4\13B5\13B6\13B7\13B8\13B9'
    || U&'\13BA\13BB\13BC\13BD\13BE\13BF\13C0\13C1\13C2\13C3\13C4\13C5\13C6\13C7\13C8\13C9\13CA\13CB\13CC\13CD'
    || U&'\13CE\13CF\13D0\13D1\13D2\13D3\13D4\13D5\13D6\13D7\13D8\13D9\13DA\13DB\13DC\13DD\13DE\13DF\13E0\13E1'
    || U&'\13E2\13E3\13E4\13E5\13E6\13E7\13E8\13E9\13EA\13EB\13EC\13ED\13EE\13EF\FF41\FF42\FF43\FF44\FF45\FF46'
    || U&'\FF47\FF48\FF49\FF4A\FF4B\FF4C\FF4D\FF4E\FF4F\FF50\FF51\FF52\FF53\FF54\FF55\FF56\FF57\FF58\FF59\FF5A'
    || U&'\+010428\+010429\+01042A\+01042B\+01042C\+01042D\+01042E\+01042F\+010430\+010431\+010432\+010433\+010434\+010435\+010436\+010437\+010438\+010439\+01043A\+01043B'
    || U&'\+01043C\+01043D\+01043E\+01043F\+010440\+010441\+010442\+010443\+010444\+010445\+010446\+010447\+010448\+010449\+01044A\+01044B\+01044C\+01044D\+01044E\+01044F'
    || U&'\+0104D8\+0104D9\+0104DA\+0104DB\+0104DC\+0104DD\+0104DE\+0104DF\+0104E0\+0104E1\+0104E2\+0104E3\+0104E4\+0104E5\+0104E6\+0104E7\+0104E8\+0104E9\+0104EA\+0104EB'
    || U&'\+0104EC\+0104ED\+0104EE\+0104EF\+0104F0\+0104F1\+0104F2\+0104F3\+0104F4\+0104F5\+0104F6\+0104F7\+0104F8\+0104F9\+0104FA\+0104FB\+010597\+010598\+010599\+01059A'
    || U&'\+01059B\+01059C\+01059D\+01059E\+01059F\+0105A0\+0105A1\+0105A3\+0105A4\+0105A5\+0105A6\+0105A7\+0105A8\+0105A9\+0105AA\+0105AB\+0105AC\+0105AD\+0105AE\+0105AF'
    || U&'\+0105B0\+0105B1\+0105B3\+0105B4\+0105B5\+0105B6\+0105B7\+0105B8\+0105B9\+0105BB\+0105BC\+010CC0\+010CC1\+010CC2\+010CC3\+010CC4\+010CC5\+010CC6\+010CC7\+010CC8'
    || U&'\+010CC9\+010CCA\+010CCB\+010CCC\+010CCD\+010CCE\+010CCF\+010CD0\+010CD1\+010CD2\+010CD3\+010CD4\+010CD5\+010CD6\+010CD7\+010CD8\+010CD9\+010CDA\+010CDB\+010CDC'
    || U&'\+010CDD\+010CDE\+010CDF\+010CE0\+010CE1\+010CE2\+010CE3\+010CE4\+010CE5\+010CE6\+010CE7\+010CE8\+010CE9\+010CEA\+010CEB\+010CEC\+010CED\+010CEE\+010CEF\+010CF0'
    || U&'\+010CF1\+010CF2\+0118C0\+0118C1\+0118C2\+0118C3\+0118C4\+0118C5\+0118C6\+0118C7\+0118C8\+0118C9\+0118CA\+0118CB\+0118CC\+0118CD\+0118CE\+0118CF\+0118D0\+0118D1'
    || U&'\+0118D2\+0118D3\+0118D4\+0118D5\+0118D6\+0118D7\+0118D8\+0118D9\+0118DA\+0118DB\+0118DC\+0118DD\+0118DE\+0118DF\+016E60\+016E61\+016E62\+016E63\+016E64\+016E65'
    || U&'\+016E66\+016E67\+016E68\+016E69\+016E6A\+016E6B\+016E6C\+016E6D\+016E6E\+016E6F\+016E70\+016E71\+016E72\+016E73\+016E74\+016E75\+016E76\+016E77\+016E78\+016E79'
    || U&'\+016E7A\+016E7B\+016E7C\+016E7D\+016E7E\+016E7F\+01E922\+01E923\+01E924\+01E925\+01E926\+01E927\+01E928\+01E929\+01E92A\+01E92B\+01E92C\+01E92D\+01E92E\+01E92F'
    || U&'\+01E930\+01E931\+01E932\+01E933\+01E934\+01E935\+01E936\+01E937\+01E938\+01E939\+01E93A\+01E93B\+01E93C\+01E93D\+01E93E\+01E93F\+01E940\+01E941\+01E942\+01E943'
    || U&'abcdefghijklmnopqrst'
    || U&'uvwxyz');
END
$$;
COMMENT ON FUNCTION hh_folded IS 'A text in which upper and lower case are alike, in any alphabet.';
CREATE OR REPLACE FUNCTION hh_plain(given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT replace(replace(given, U&'\E0000', U&'\2400'), U&'\E000e', U&'\E000')
$$;
COMMENT ON FUNCTION hh_plain IS 'A text as it was recorded; U+0000, which no text here can hold, as the sign for it.';
CREATE OR REPLACE FUNCTION hh_like(given text, pattern text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN strpos(pattern, '*') > 0 OR strpos(pattern, '?') > 0
    THEN hh_folded(hh_plain(given)) ~ hh_glob(hh_folded(hh_plain(pattern)), '!')
    ELSE strpos(hh_folded(hh_plain(given)), hh_folded(hh_plain(pattern))) > 0
  END
$$;
COMMENT ON FUNCTION hh_like IS
  'Whether a text has another in it, or fits a pattern with * or ? as a whole; upper and lower case alike.';
CREATE OR REPLACE FUNCTION hh_contains(given text, word text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  made text := coalesce(given, '');
  code text;
BEGIN
  IF strpos(made, '\u') > 0 THEN
    FOR code IN SELECT DISTINCT m.part[1] FROM regexp_matches(made, '\\u([0-9a-f]{4})', 'g') AS m (part) LOOP
      IF code = '0000' THEN
        made := replace(made, '\u0000', U&'\E0000');
      ELSIF code = 'e000' THEN
        made := replace(made, '\ue000', U&'\E000e');
      ELSIF code !~ '^d[89a-f]' THEN
        made := replace(made, '\u' || code, chr(('x' || code)::bit(16)::integer));
      END IF;
    END LOOP;
  END IF;
  RETURN strpos(hh_folded(hh_plain(made)), hh_folded(hh_plain(word))) > 0;
END
$$;
COMMENT ON FUNCTION hh_contains IS 'Whether a text has a word in it, in any alphabet; JSON keeps what is not ASCII as escapes.';
CREATE OR REPLACE FUNCTION hh_json(given text) RETURNS json LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN given::json;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION hh_json IS 'A text as JSON; NULL where it is none.';
CREATE OR REPLACE FUNCTION hh_said(given text) RETURNS json LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN strpos(given, '\u0000') > 0 OR strpos(given, '\ue000') > 0 THEN regexp_replace(
    regexp_replace(given, '(?<!\\)((?:\\\\)*)\\ue000', '\1\\ue000e', 'g'),
    '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ue0000', 'g'
  ) ELSE given END::json
$$;
COMMENT ON FUNCTION hh_said IS 'A text as JSON; U+0000, which no text here can hold, as it is written: U+E000 and 0.';
CREATE OR REPLACE FUNCTION hh_inner(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  held json := hh_json(given);
BEGIN
  RETURN CASE json_typeof(held)
    WHEN 'string' THEN hh_said(given) #>> '{}'
    WHEN 'null' THEN NULL
    WHEN 'object' THEN coalesce(
      CASE json_typeof(held -> '$float') WHEN 'string' THEN held ->> '$float' END,
      CASE json_typeof(held -> '$callable') WHEN 'string' THEN held ->> '$callable' END,
      CASE json_typeof(held -> '$object') WHEN 'string' THEN held ->> '$object' END,
      given
    )
    ELSE given
  END;
EXCEPTION WHEN data_exception THEN
  RETURN given;
END
$$;
COMMENT ON FUNCTION hh_inner IS 'What JSON in quotes or braces holds, for hh_text.';
CREATE OR REPLACE FUNCTION hh_text(given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN given ~ '^"[^"\\\x01-\x1f]*"$' THEN substr(given, 2, length(given) - 2)
    WHEN left(given, 1) IN ('"', '{', 'n') THEN hh_inner(given)
    ELSE given
  END
$$;
COMMENT ON FUNCTION hh_text IS 'What JSON holds, as a person writes it: a text without quotes, a number, a name.';
CREATE OR REPLACE FUNCTION hh_short(given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN left(given, 1) = '{' AND starts_with(given, '{"$') AND NOT starts_with(given, '{"$float"')
    THEN regexp_replace(hh_text(given), '^.*[.]', '')
    ELSE hh_text(given)
  END
$$;
COMMENT ON FUNCTION hh_short IS 'The name of a class or a function without its module.';
CREATE OR REPLACE FUNCTION hh_float(given text) RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  word text := lower(btrim(given, E' \t\n\r\f\v'));
BEGIN
  IF word ~ '^[-+]?([0-9](_?[0-9])*[.]?([0-9](_?[0-9])*)?|[.][0-9](_?[0-9])*)(e[-+]?[0-9](_?[0-9])*)?$' THEN
    RETURN replace(word, '_', '')::double precision;
  ELSIF word ~ '^[-+]?inf(inity)?$' THEN
    RETURN word::double precision;
  END IF;
  RETURN NULL;
EXCEPTION WHEN numeric_value_out_of_range THEN
  RETURN CASE
    WHEN abs(replace(word, '_', '')::numeric) < 1 THEN 0.0
    WHEN left(word, 1) = '-' THEN '-Infinity'::double precision
    ELSE 'Infinity'::double precision
  END;
END
$$;
COMMENT ON FUNCTION hh_float IS 'The number that a text is, if it is one.';
CREATE OR REPLACE FUNCTION hh_number(given text) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN length(given) < 40 AND left(given, 1) IN ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
      AND translate(given, '0123456789', '') IN ('', '.') THEN given::double precision
    WHEN given ~ '^-?[0-9]{1,16}([.][0-9]{1,20})?(e[-+]?[0-9]{1,2})?$' THEN given::double precision
    WHEN left(given, 1) IN ('t', 'f', 'n', '[', '') OR given ~ '^"[A-HJ-Za-hj-z]' THEN NULL
    WHEN left(given, 1) = '{' AND hh_json(given) ->> '$float' IS NULL THEN NULL
    ELSE hh_float(hh_text(given))
  END
$$;
COMMENT ON FUNCTION hh_number IS 'The number that JSON holds, also as text.';
CREATE OR REPLACE FUNCTION hh_truth(given text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN left(given, 1) IN ('t', 'f', '"') THEN
    CASE lower(CASE WHEN left(given, 1) = '"' OR given IN ('true', 'false') THEN hh_text(given) END)
      WHEN 'true' THEN 1 WHEN 'false' THEN 0 END
  END
$$;
COMMENT ON FUNCTION hh_truth IS '1 for true, 0 for false, also as text; NULL for anything else.';
CREATE OR REPLACE FUNCTION hh_at(given text, VARIADIC keys text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  held json := hh_json(given);
  key text;
BEGIN
  FOREACH key IN ARRAY keys LOOP
    IF json_typeof(held) IS DISTINCT FROM 'object' THEN
      RETURN NULL;
    END IF;
    held := held -> key;
  END LOOP;
  RETURN CASE json_typeof(held) WHEN 'null' THEN NULL ELSE held::text END;
END
$$;
COMMENT ON FUNCTION hh_at IS 'What lies under some keys of a JSON object, as JSON.';
CREATE OR REPLACE FUNCTION hh_micros(moment text) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT (extract(epoch FROM moment::timestamptz) * 1000000)::bigint
$$;
COMMENT ON FUNCTION hh_micros IS 'A column ..._at as a column time has it.';
CREATE OR REPLACE FUNCTION hh_span(start text, stop text) RETURNS double precision LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN stop IS NOT NULL THEN greatest(0.0::double precision, (hh_micros(stop) - hh_micros(start)) / 1e6::double precision) END
$$;
COMMENT ON FUNCTION hh_span IS 'Seconds between two moments.';
CREATE OR REPLACE FUNCTION hh_settled(session_id text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('histhooks.settled', true), '')::json ->> session_id, 'running')
$$;
COMMENT ON FUNCTION hh_settled IS 'The status of a session that says it is running, as the reader judged it.';
CREATE OR REPLACE FUNCTION hh_best(of_run text, of_name text) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
DECLARE
  m record;
  n_epochs bigint;
  is_train boolean;
  found double precision;
BEGIN
  SELECT s.*, r.kind, r.framework INTO m FROM metric_summaries AS s JOIN runs AS r ON r.id = s.run_id
  WHERE s.run_id = of_run AND s.name = of_name;
  IF m.direction = 0 OR m.min IS NULL THEN
    RETURN NULL;
  END IF;
  found := CASE m.direction WHEN 1 THEN m.max ELSE m.min END;
  is_train := m.split IS NULL OR m.split = 'train';
  IF m.split = 'system' OR m.count < 2 THEN
    RETURN found;
  END IF;
  IF m.last_epoch IS NOT NULL THEN
    SELECT greatest(1, m.last_epoch - coalesce(p.epoch, m.last_epoch) + 1) INTO n_epochs
    FROM points AS p WHERE p.series = m.series AND p.epoch IS NOT NULL ORDER BY p.n LIMIT 1;
    IF m.count < coalesce(n_epochs, 1) * (CASE WHEN is_train THEN 2 ELSE 8 END) THEN
      RETURN found;
    END IF;
  ELSIF NOT is_train OR m.kind <> 'loop' OR m.framework IS DISTINCT FROM 'torch' OR m.count < 20 THEN
    RETURN found;
  END IF;
  IF m.count > 20000 THEN
    RETURN coalesce(
      (SELECT CASE m.direction WHEN 1 THEN max(mean) ELSE min(mean) END FROM point_chunks
       WHERE series = m.series AND count = 1024),
      found
    );
  END IF;
  RETURN coalesce(
    (SELECT CASE m.direction WHEN 1 THEN max(x.mean) ELSE min(x.mean) END FROM (
       SELECT sum(p.value ORDER BY p.n) / nullif(count(p.value), 0) AS mean, count(*) AS n, max(count(*)) OVER () AS most
       FROM points AS p
       WHERE p.series = m.series AND (m.last_epoch IS NULL OR p.epoch IS NOT NULL)
       GROUP BY CASE WHEN m.last_epoch IS NULL THEN p.n * 10 / m.count ELSE p.epoch END) AS x
     WHERE m.last_epoch IS NULL OR 2 * x.n >= x.most),
    found
  );
END
$$;
COMMENT ON FUNCTION hh_best IS 'The best value of a metric of a run: of minibatches a mean.';
DO $$ BEGIN
  IF to_regprocedure(quote_ident(current_schema()) || '.sum(boolean)') IS NULL THEN
    CREATE FUNCTION hh_count(so_far bigint, given boolean) RETURNS bigint LANGUAGE sql IMMUTABLE AS
      'SELECT CASE WHEN given IS NULL THEN so_far ELSE coalesce(so_far, 0) + given::integer END';
    CREATE AGGREGATE sum(boolean) (SFUNC = hh_count, STYPE = bigint);
    CREATE FUNCTION hh_most(so_far bigint, given boolean) RETURNS bigint LANGUAGE sql IMMUTABLE AS
      'SELECT CASE WHEN given IS NULL THEN so_far ELSE greatest(so_far, given::integer) END';
    CREATE AGGREGATE max(boolean) (SFUNC = hh_most, STYPE = bigint);
    CREATE FUNCTION hh_fewest(so_far bigint, given boolean) RETURNS bigint LANGUAGE sql IMMUTABLE AS
      'SELECT CASE WHEN given IS NULL THEN so_far ELSE least(so_far, given::integer) END';
    CREATE AGGREGATE min(boolean) (SFUNC = hh_fewest, STYPE = bigint);
  END IF;
END $$;
-- The sum of floats as `math.fsum` gives it: https://docs.python.org/3/library/math.html#math.fsum
CREATE OR REPLACE FUNCTION hh_partials(partials double precision[], given double precision) RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  made double precision[] := '{}';
  x double precision := given;
  y double precision;
  hi double precision;
  lo double precision;
BEGIN
  IF given IS NULL THEN
    RETURN partials;
  END IF;
  FOREACH y IN ARRAY coalesce(partials, '{}') LOOP
    IF abs(x) < abs(y) THEN
      hi := x; x := y; y := hi;
    END IF;
    hi := x + y;
    lo := y - (hi - x);
    IF lo <> 0 THEN
      made := made || lo;
    END IF;
    x := hi;
  END LOOP;
  RETURN made || x;
END
$$;
CREATE OR REPLACE FUNCTION hh_summed(partials double precision[]) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  n integer := coalesce(array_length(partials, 1), 0);
  hi double precision := 0;
  lo double precision := 0;
  x double precision;
  y double precision;
BEGIN
  IF n = 0 THEN
    RETURN NULL;
  END IF;
  hi := partials[n];
  n := n - 1;
  WHILE n > 0 LOOP
    x := hi;
    y := partials[n];
    n := n - 1;
    hi := x + y;
    lo := y - (hi - x);
    EXIT WHEN lo <> 0;
  END LOOP;
  IF n > 0 AND ((lo < 0 AND partials[n] < 0) OR (lo > 0 AND partials[n] > 0)) THEN
    y := lo * 2;
    x := hi + y;
    IF y = x - hi THEN
      hi := x;
    END IF;
  END IF;
  RETURN hi;
END
$$;
DO $$ BEGIN
  IF to_regprocedure(quote_ident(current_schema()) || '.hh_fsum(double precision)') IS NULL THEN
    CREATE AGGREGATE hh_fsum(double precision) (SFUNC = hh_partials, STYPE = double precision[], FINALFUNC = hh_summed);
  END IF;
END $$;
CREATE OR REPLACE VIEW rollups AS
WITH of_64 AS (
  SELECT p.series, p.n / 64 AS bucket, min(coalesce(p.step, p.n)) FILTER (WHERE p.n & 63 = 0) AS first_step,
    min(coalesce(p.step, p.n)) FILTER (WHERE p.n & 63 = 63) AS last_step, count(p.value) AS count, min(p.value) AS min,
    max(p.value) AS max, hh_fsum(p.value) / nullif(count(p.value), 0) AS mean
  FROM points AS p GROUP BY p.series, p.n / 64 HAVING count(*) = 64
), of_1024 AS (
  SELECT x.series, x.bucket / 16 AS bucket, min(x.first_step) FILTER (WHERE x.bucket & 15 = 0) AS first_step,
    min(x.last_step) FILTER (WHERE x.bucket & 15 = 15) AS last_step, sum(x.count)::bigint AS count, min(x.min) AS min,
    max(x.max) AS max, hh_fsum(x.mean * x.count) / nullif(sum(x.count), 0)::double precision AS mean
  FROM of_64 AS x GROUP BY x.series, x.bucket / 16 HAVING count(*) = 16
), of_16384 AS (
  SELECT x.series, x.bucket / 16 AS bucket, min(x.first_step) FILTER (WHERE x.bucket & 15 = 0) AS first_step,
    min(x.last_step) FILTER (WHERE x.bucket & 15 = 15) AS last_step, sum(x.count)::bigint AS count, min(x.min) AS min,
    max(x.max) AS max, hh_fsum(x.mean * x.count) / nullif(sum(x.count), 0)::double precision AS mean
  FROM of_1024 AS x GROUP BY x.series, x.bucket / 16 HAVING count(*) = 16
), of_262144 AS (
  SELECT x.series, x.bucket / 16 AS bucket, min(x.first_step) FILTER (WHERE x.bucket & 15 = 0) AS first_step,
    min(x.last_step) FILTER (WHERE x.bucket & 15 = 15) AS last_step, sum(x.count)::bigint AS count, min(x.min) AS min,
    max(x.max) AS max, hh_fsum(x.mean * x.count) / nullif(sum(x.count), 0)::double precision AS mean
  FROM of_16384 AS x GROUP BY x.series, x.bucket / 16 HAVING count(*) = 16
)
SELECT series, 1::bigint AS level, bucket, first_step, last_step, count, min, max, mean FROM of_64
UNION ALL SELECT series, 2, bucket, first_step, last_step, count, min, max, mean FROM of_1024
UNION ALL SELECT series, 3, bucket, first_step, last_step, count, min, max, mean FROM of_16384
UNION ALL SELECT series, 4, bucket, first_step, last_step, count, min, max, mean FROM of_262144;
-- Times as SQLite computes them, in whole milliseconds of a Julian day: https://www.sqlite.org/lang_datefunc.html
CREATE OR REPLACE FUNCTION hh_changed(so_far bigint, change text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  word text := lower(btrim(change));
  part text[] := regexp_match(word, '^([-+]?[0-9]+(?:[.][0-9]*)?)\s+(second|minute|hour|day|month|year)s?$');
  zero constant timestamp := '1970-01-01 00:00:00';
  moment timestamp := zero + (so_far - 210866760000000) * interval '1 millisecond';
  n double precision;
  months integer;
BEGIN
  IF word LIKE 'start of %' THEN
    IF substr(word, 10) NOT IN ('day', 'month', 'year') THEN
      RETURN NULL;
    END IF;
    moment := date_trunc(substr(word, 10), moment);
  ELSIF word ~ '^weekday [0-6]$' THEN
    moment := moment + ((right(word, 1)::integer - extract(dow FROM moment)::integer + 7) % 7) * interval '1 day';
  ELSIF part IS NOT NULL AND part[2] IN ('month', 'year') THEN
    n := part[1]::double precision;
    months := trunc(n)::integer * CASE part[2] WHEN 'year' THEN 12 ELSE 1 END;
    -- A day that a month does not have is one of the next.
    moment := date_trunc('month', moment) + months * interval '1 month'
      + (moment - date_trunc('month', moment));
    moment := moment + (n - trunc(n)) * (CASE part[2] WHEN 'year' THEN 365 ELSE 30 END) * interval '1 day';
  ELSIF part IS NOT NULL THEN
    n := part[1]::double precision * CASE part[2]
      WHEN 'second' THEN 1000.0 WHEN 'minute' THEN 60000.0 WHEN 'hour' THEN 3600000.0 ELSE 86400000.0 END;
    RETURN so_far + trunc(n + CASE WHEN n < 0 THEN -0.5 ELSE 0.5 END)::bigint;
  ELSIF word IN ('localtime', 'utc', 'auto', 'subsec', 'subsecond') OR word ~ '^[-+][0-9]' THEN
    RAISE EXCEPTION 'a time that is changed by % is computed by a file alone; `histhooks pull` makes one', quote_literal(change);
  ELSE
    RETURN NULL;
  END IF;
  RETURN 210866760000000 + round(extract(epoch FROM moment - zero) * 1000)::bigint;
END
$$;
COMMENT ON FUNCTION hh_changed IS 'A time in milliseconds of a Julian day, changed by a modifier of SQLite.';
CREATE OR REPLACE FUNCTION hh_time(given text, VARIADIC changes text[] DEFAULT '{}') RETURNS numeric[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
  part text[] := regexp_match(
    given, '^(?:(\d{4})-(\d\d)-(\d\d)(?:[T ]+|$))?(?:(\d\d):(\d\d)(?::(\d\d(?:[.]\d+)?))?\s*(Z|z|[-+]\d\d:\d\d)?)?\s*$'
  );
  made bigint;
  second numeric;
  change text;
  rest text[] := changes;
  number numeric;
BEGIN
  IF given IS NULL OR array_position(changes, NULL) IS NOT NULL THEN
    RETURN NULL;
  ELSIF lower(given) = 'now' THEN
    made := 210866760000000 + floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint;
  ELSIF given ~ '^\s*[-+]?(\d+([.]\d*)?|[.]\d+)([eE][-+]?\d+)?\s*$' THEN
    number := given::numeric;
    IF lower(rest[1]) = 'unixepoch' THEN
      made := round(number * 1000) + 210866760000000;
      rest := rest[2:];
    ELSIF number BETWEEN 0 AND 5373484.499999 THEN
      made := floor(number * 86400000 + 0.5);
      rest := CASE WHEN lower(rest[1]) = 'julianday' THEN rest[2:] ELSE rest END;
    END IF;
  ELSIF part IS NOT NULL AND (part[1] IS NOT NULL OR part[4] IS NOT NULL) THEN
    IF part[2]::integer NOT BETWEEN 1 AND 12 OR part[3]::integer NOT BETWEEN 1 AND 31 OR part[4]::integer > 24
      OR part[5]::integer > 59 OR part[6]::numeric >= 60 THEN
      RETURN NULL;
    ELSIF part[4]::integer = 24 OR part[3]::integer > 28 AND part[3]::integer >
      extract(day FROM make_date(part[1]::integer, part[2]::integer, 1) + interval '1 month -1 day') THEN
      RAISE EXCEPTION '% is a time that no calendar has; a file alone computes with it', quote_literal(given);
    END IF;
    second := coalesce(part[6]::numeric, 0);
    made := 210866760000000 + CASE WHEN part[1] IS NULL THEN 10957 ELSE
      make_date(greatest(part[1]::integer, 1), part[2]::integer, 1) - date '1970-01-01' + part[3]::integer - 1
      END::bigint * 86400000;
    made := made + coalesce(part[4]::integer, 0) * 3600000 + coalesce(part[5]::integer, 0) * 60000
      + floor(second * 1000 + 0.5)::integer;
    IF part[7] ~ '^[-+]' THEN
      made := made - (left(part[7], 1) || '1')::integer
        * (substr(part[7], 2, 2)::integer * 60 + substr(part[7], 5, 2)::integer) * 60000;
      second := NULL;
    END IF;
  END IF;
  FOREACH change IN ARRAY rest LOOP
    made := hh_changed(made, change);
    second := NULL;
  END LOOP;
  IF made IS NULL OR made NOT BETWEEN 0 AND 464269060799999 THEN
    RETURN NULL;
  END IF;
  -- What no modifier touched keeps its second as it is written.
  RETURN ARRAY[made, second];
END
$$;
COMMENT ON FUNCTION hh_time IS 'A time as SQLite understands it: milliseconds of a Julian day, and the second as it is written.';
CREATE OR REPLACE FUNCTION hh_strftime(form text, given text, VARIADIC changes text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  found numeric[] := hh_time(given, VARIADIC changes);
  whole bigint;
  moment timestamp;
  part text;
  made text := '';
BEGIN
  IF found IS NULL OR form IS NULL THEN
    RETURN NULL;
  END IF;
  whole := CASE  -- a second that rounds up is still the one that is written
    WHEN found[2] IS NULL THEN found[1]
    ELSE found[1] - floor(found[2] * 1000 + 0.5) + floor(found[2]) * 1000
  END;
  moment := timestamp '1970-01-01' + (whole - 210866760000000) * interval '1 millisecond';
  FOR part IN SELECT (regexp_matches(form, '%.?|[^%]+', 'gs'))[1] LOOP
    made := made || CASE
      WHEN left(part, 1) <> '%' THEN part
      WHEN part = '%d' THEN to_char(moment, 'DD')
      WHEN part = '%H' THEN to_char(moment, 'HH24')
      WHEN part = '%j' THEN to_char(moment, 'DDD')
      WHEN part = '%m' THEN to_char(moment, 'MM')
      WHEN part = '%M' THEN to_char(moment, 'MI')
      WHEN part = '%S' THEN to_char(moment, 'SS')
      WHEN part = '%Y' THEN to_char(moment, 'YYYY')
      WHEN part = '%w' THEN extract(dow FROM moment)::text
      WHEN part = '%W' THEN lpad(((extract(doy FROM moment)::integer + 6
        - (extract(isodow FROM moment)::integer - 1)) / 7)::text, 2, '0')
      WHEN part = '%s' THEN (div(found[1], 1000) - 210866760000)::text
      WHEN part = '%f' THEN to_char(least(coalesce(found[2], found[1] % 60000 / 1000), 59.999), 'FM00.000')
      WHEN part = '%%' THEN '%'
    END;
    IF made IS NULL AND part ~ '^%[A-Za-z]$' THEN
      RAISE EXCEPTION 'strftime knows no % in a target; write %%d %%f %%H %%j %%m %%M %%s %%S %%w %%W %%Y', part;
    END IF;
    EXIT WHEN made IS NULL;
  END LOOP;
  RETURN made;
END
$$;
COMMENT ON FUNCTION hh_strftime IS 'A time in a form of SQLite.';
CREATE OR REPLACE FUNCTION hh_julianday(given text, VARIADIC changes text[] DEFAULT '{}') RETURNS double precision
LANGUAGE sql STABLE AS $$
  SELECT (hh_time(given, VARIADIC changes))[1]::double precision / 86400000.0
$$;
COMMENT ON FUNCTION hh_julianday IS 'Days since noon in Greenwich on November 24, 4714 B.C.';
CREATE OR REPLACE FUNCTION hh_unixepoch(given text, VARIADIC changes text[] DEFAULT '{}') RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT div((hh_time(given, VARIADIC changes))[1], 1000)::bigint - 210866760000
$$;
COMMENT ON FUNCTION hh_unixepoch IS 'Seconds since 1970.';
CREATE OR REPLACE FUNCTION hh_printf(form text, VARIADIC given text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  part text[];
  made text := '';
  word text;
  value text;
  sign text;
  n integer := 0;
  places integer;
BEGIN
  IF form IS NULL THEN
    RETURN NULL;
  END IF;
  FOR part IN SELECT regexp_matches(form, '(%)([-+ 0,]*)(\d*)(?:[.](\d+))?(.?)|([^%]+)', 'gs') LOOP
    IF part[6] IS NOT NULL THEN
      made := made || part[6];
      CONTINUE;
    ELSIF part[5] = '%' THEN
      made := made || '%';
      CONTINUE;
    END IF;
    n := n + 1;
    value := given[n];
    sign := '';
    places := part[4]::integer;
    IF part[5] IN ('s', 'z') THEN
      word := CASE WHEN places IS NULL THEN coalesce(value, '') ELSE left(coalesce(value, ''), places) END;
    ELSIF part[5] IN ('d', 'i', 'u') THEN
      word := trunc(coalesce(substring(value, '^\s*([-+]?\d+(?:[.]\d*)?(?:[eE][-+]?\d+)?)'), '0')::numeric)::text;
    ELSIF part[5] = 'f' THEN
      word := round(coalesce(substring(value, '^\s*([-+]?(?:\d+(?:[.]\d*)?|[.]\d+)(?:[eE][-+]?\d+)?)'), '0')::numeric,
        coalesce(places, 6))::text;
    ELSE
      RAISE EXCEPTION 'printf knows no % in a target; write %%d, %%f or %%s', '%' || part[5];
    END IF;
    IF part[5] IN ('d', 'i', 'u', 'f') THEN
      IF left(word, 1) = '-' OR (part[5] = 'f' AND value ~ '^\s*-') THEN  -- -0.000 too
        sign := '-';
        word := ltrim(word, '-');
      ELSIF strpos(part[2], '+') > 0 THEN
        sign := '+';
      ELSIF strpos(part[2], ' ') > 0 THEN
        sign := ' ';
      END IF;
      IF strpos(part[2], ',') > 0 AND part[5] <> 'f' THEN
        word := btrim(reverse(regexp_replace(reverse(word), '(\d{3})(?=\d)', '\1,', 'g')));
      END IF;
      IF strpos(part[2], '0') > 0 AND strpos(part[2], '-') = 0 THEN
        word := lpad(word, greatest(length(word), coalesce(nullif(part[3], '')::integer, 0) - length(sign)), '0');
      END IF;
    END IF;
    word := sign || word;
    IF length(word) < coalesce(nullif(part[3], '')::integer, 0) THEN
      word := CASE WHEN strpos(part[2], '-') > 0 THEN rpad(word, part[3]::integer) ELSE lpad(word, part[3]::integer) END;
    END IF;
    made := made || word;
  END LOOP;
  RETURN made;
END
$$;
COMMENT ON FUNCTION hh_printf IS 'Values in a form, of which %d, %i, %u, %f and %s are known.';

package tree

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// pages are answers in the forms that stores send them.
var pages = map[string]struct {
	text string
	want s3Page
}{
	"as S3 itself": {
		`<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/><NextContinuationToken>1ue&amp;GcxLPR/x==</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><Contents><Key>a/b%2Bc+d</Key><LastModified>2026-11-25T09:35:41.123Z</LastModified><ETag>&quot;70ee1738b6b21e2c8a43f3a5ab0eee71&quot;</ETag><ChecksumAlgorithm>SHA256</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>71</Size><StorageClass>STANDARD</StorageClass></Contents><Contents><Key>a/d</Key><LastModified>2026-11-25T09:35:41.000Z</LastModified><ETag>&#34;x-2&#34;</ETag><Owner><ID>1</ID><DisplayName/></Owner><Size>5368709120</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>`,
		s3Page{truncated: true, token: "1ue&GcxLPR/x==", objects: []Object{
			{Name: "a/b+c d", Size: 71, Modified: time.Date(2026, 11, 25, 9, 35, 41, 123e6, time.UTC), ETag: "70ee1738b6b21e2c8a43f3a5ab0eee71"},
			{Name: "a/d", Size: 5 << 30, Modified: time.Date(2026, 11, 25, 9, 35, 41, 0, time.UTC), ETag: "x-2"},
		}},
	},
	"indented, keys as they are": {
		"<ListBucketResult>\n  <IsTruncated>false</IsTruncated>\n  <Contents>\n    <Key>a&lt;b&gt;&apos;%2B+</Key>\n    <Size>0</Size>\n  </Contents>\n</ListBucketResult>\n",
		s3Page{objects: []Object{{Name: "a<b>'%2B+"}}},
	},
	"folders": {
		`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated><Delimiter>/</Delimiter><CommonPrefixes><Prefix>a/b%20c/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>a/d/</Prefix></CommonPrefixes></ListBucketResult>`,
		s3Page{prefixes: []string{"a/b c/", "a/d/"}},
	},
	"nothing": {
		`<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResult>`,
		s3Page{},
	},
}

func TestListingsOfAllStoresAreReadFast(t *testing.T) {
	t.Parallel()
	for name, tc := range pages {
		if got, ok := readPageFast([]byte(tc.text)); !ok || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %t, %+v; want %+v", name, ok, got, tc.want)
		}
		if got, err := readPageSlowly([]byte(tc.text)); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s, slowly: %v, %+v; want %+v", name, err, got, tc.want)
		}
	}
}

func TestOddListingsAreReadToo(t *testing.T) {
	t.Parallel()
	want := s3Page{objects: []Object{{Name: "a/b", Size: 1}}}
	for name, text := range map[string]string{
		"comments":        `<!-- a --><ListBucketResult><!-- b --><Contents><Key>a/b</Key><Size>1</Size></Contents></ListBucketResult>`,
		"CDATA":           `<ListBucketResult><Contents><Key><![CDATA[a/b]]></Key><Size>1</Size></Contents></ListBucketResult>`,
		"other entities":  `<ListBucketResult><Contents><Key>&#x61;/b</Key><Size>1</Size></Contents></ListBucketResult>`,
		"name spaces":     `<s3:ListBucketResult xmlns:s3="x"><s3:Contents><s3:Key>a/b</s3:Key><s3:Size>1</s3:Size></s3:Contents></s3:ListBucketResult>`,
		"attributes":      `<ListBucketResult a="x>y"><Contents b="c"><Key>a/b</Key><Size>1</Size></Contents></ListBucketResult>`,
		"blanks in tags":  "<ListBucketResult ><Contents ><Key >a/b</Key ><Size>1</Size></Contents></ListBucketResult>",
		"spaces in sizes": "<ListBucketResult><Contents><Key>a/b</Key><Size> 1 </Size></Contents></ListBucketResult>",
		"depth":           "<ListBucketResult>" + strings.Repeat("<x>", 50) + strings.Repeat("</x>", 50) + "<Contents><Key>a/b</Key><Size>1</Size></Contents></ListBucketResult>",
	} {
		if got, err := readPage([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestWhatIsNoWholeListingIsNotTakenForOne(t *testing.T) {
	t.Parallel()
	for name, tc := range pages {
		for cut := range len(strings.TrimSpace(tc.text)) {
			if got, err := readPage([]byte(tc.text[:cut])); err == nil {
				t.Fatalf("%s, the first %d bytes: %+v", name, cut, got)
			}
		}
	}
	for _, text := range []string{"", " ", "nothing", "<html><body>down</body></html>", `<Error><Code>InternalError</Code></Error>`} {
		if got, err := readPage([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
	if _, err := readPage([]byte(`<Error><Code>InternalError</Code></Error>`)); !errors.Is(err, errNoPage) {
		t.Errorf("an error: %v", err)
	}
}

// Both ways say the same of what both understand.
func FuzzReadPage(f *testing.F) {
	for _, tc := range pages {
		f.Add([]byte(tc.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fast, ok := readPageFast(text)
		slow, err := readPageSlowly(text)
		if ok && err == nil && !reflect.DeepEqual(fast, slow) {
			t.Errorf("fast %+v, slowly %+v", fast, slow)
		}
	})
}
